package logapi

import (
	"context"
	"errors"
	"reflect"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/queries"
)

const (
	defaultLimit, maxLimit = 100, 1000
	// pageBytes is how many bytes of data and metadata a page has at most, unless one event has more.
	pageBytes = 4 << 20
)

func (r *routes) reads(a *httpapi.API) {
	httpapi.Read(a, streamPath, streamQueryOf, r.readStream)
	a.Answers(reflect.TypeFor[describedStream]())
	a.Access(httpapi.Access{Stream: "{stream}"})
	httpapi.Read(a, "/v1/events/{id}", eventQueryOf, r.readEvent)
	a.Answers(reflect.TypeFor[described]())
	a.Access(httpapi.Access{Filtered: true})
	httpapi.Read(a, "/v1/log", logQueryOf, r.readLog)
	a.Answers(reflect.TypeFor[describedLog]())
	a.Access(httpapi.Access{Filtered: true})
}

// streamQuery says which events of a stream to read.
type streamQuery struct {
	from      int64
	limit     int
	backwards bool
}

func streamQueryOf(p *httpapi.Params) (q streamQuery) {
	isGiven := p.Scan("from", &q.from)
	if isGiven && q.from < 0 {
		p.Fail("from", "must be a version, from 0 on")
	}
	q.limit = p.Limit(defaultLimit, maxLimit)
	if q.backwards = p.OneOf("direction", "forwards", "backwards") == "backwards"; q.backwards && !isGiven {
		q.from = eventstore.End
	}
	return q
}

// describedStream is a page of a stream. Next is the version to go on from, if there are more.
type describedStream struct {
	Items []described `json:"items"`
	Next  *int64      `json:"next"`
}

// streamPage is that page as an answer.
type streamPage struct {
	list
	next *int64
}

// AppendJSON implements httpapi.Raw.
func (p streamPage) AppendJSON(to []byte) []byte {
	to = p.appendTo(to)
	if p.next == nil {
		return append(to, `,"next":null}`...)
	}
	return append(appendNumber(to, "next", *p.next), '}')
}

func (r *routes) readStream(ctx context.Context, in httpapi.ReadRequest[streamQuery]) (p streamPage, err error) {
	stream, q := in.Path("stream"), in.Params
	if err := r.reaches(ctx, in.Token); err != nil {
		return p, err
	}
	o := eventstore.ReadOptions{From: q.from, Backwards: q.backwards, Limit: int64(q.limit) + 1, PageBytes: pageBytes}
	bytes := 0
	for e, err := range r.Log.ReadStream(ctx, stream, o) {
		if err != nil {
			return p, ofStream(stream, err)
		}
		if bytes += e.Size(); len(p.list) == q.limit || len(p.list) > 0 && bytes > pageBytes {
			p.next = &e.Version
			break
		}
		p.list = append(p.list, e)
	}
	return p, nil
}

func eventQueryOf(p *httpapi.Params) queries.TraceQuery {
	return queries.TraceQuery{MaxScan: p.Int("scan", queries.DefaultTraceScan, 1, queries.MaxTraceScan)}
}

func (r *routes) readEvent(ctx context.Context, in httpapi.ReadRequest[queries.TraceQuery]) (event, error) {
	if err := r.reaches(ctx, in.Token); err != nil {
		return event{}, err
	}
	q := in.Params
	q.ID, q.Shows = in.Path("id"), in.Caller.Scope.HasStream
	e, err := queries.FindEvent(ctx, r.Log, q)
	if errors.Is(err, queries.ErrNoTrace) {
		return event{}, kindNoEvent.Problem("No event that was looked at has the id or position " + q.ID + ".")
	}
	return event{e}, err
}
