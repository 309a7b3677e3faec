package logapi_test

import "testing"

func TestStreamsAreLimitedAndDeleted(t *testing.T) {
	t.Parallel()
	everywhere(t, func(s *server) {
		const metadata = `{"max_count":2,"max_age":0,"truncate_before":0}`
		s.want(200, `"version":-1,"first_version":-1,"deleted":false,"tombstoned":false,"metadata":`+metadata, `PUT /v1/streams/a-1/metadata {"max_count":2}`)
		s.want(404, `"stream-not-found"`, `GET /v1/streams/a-1/metadata`)
		s.want(412, `"precondition-failed"`, `DELETE /v1/streams/a-1`)
		s.want(200, "", `POST /v1/streams/a-1 {"events":[{"type":"A"},{"type":"B"},{"type":"C"}]}`)
		s.want(200, `"version":2,"first_version":0,"deleted":false,"tombstoned":false,"metadata":`+metadata, `GET /v1/streams/a-1/metadata`)
		s.want(200, `{"items":[{"position":3,`, `GET /v1/streams/a-1`) // of three the last two

		s.want(412, `"expected":1,"actual":2`, `DELETE /v1/streams/a-1`, `If-Match: "1"`)
		if w := s.want(200, `{"stream":"a-1","version":3,"position":5}`, `DELETE /v1/streams/a-1`, `If-Match: "2"`); w.Header().Get("ETag") != `"3"` {
			s.Errorf("ETag %s, want the version of the mark", w.Header().Get("ETag"))
		}
		s.want(410, `"stream-deleted"`, `GET /v1/streams/a-1`)
		s.want(410, `"stream-deleted"`, `DELETE /v1/streams/a-1`)
		s.want(200, `"deleted":true`, `GET /v1/streams/a-1/metadata`)
		s.want(200, `"version":4`, `POST /v1/streams/a-1 {"type":"D","expected":"no_stream"}`)
		s.want(200, `"version":5`, `POST /v1/streams/a-1/tombstone`)
		s.want(410, `"stream-deleted"`, `POST /v1/streams/a-1 {"type":"E"}`)
		s.want(200, `"position":1,"stream":"$$a-1"`, `GET /v1/log`) // nothing is gone from the log

		for _, request := range []string{`DELETE /v1/streams/order-1`, `POST /v1/streams/order-1/tombstone`, `PUT /v1/streams/order-1/metadata {"truncate_before":9}`} {
			s.want(403, `"stream-of-aggregate"`, request)
		}
		s.want(400, `"/max_age"`, `PUT /v1/streams/a-1/metadata {"max_age":-1}`)
		s.want(400, `"invalid-request"`, `DELETE /v1/streams/$$a-1`)
	})
}
