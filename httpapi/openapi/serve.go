package openapi

import (
	"fmt"
	"net/url"
	"strconv"
	"sync"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/httpapi"
)

// Register adds the routes of the document, and of the schemas of the events that a codec has.
func Register(a *httpapi.API, info Info, codec *eventstore.Codec) {
	a.AddFile("/openapi.json", httpapi.File{ContentType: "application/json", Read: func() func(func(string) string) ([]byte, error) {
		// Routes may be registered until the API is served.
		made := sync.OnceValue(func() []byte { return Document(info, a, codec) })
		return func(func(string) string) ([]byte, error) { return made(), nil }
	}()})
	a.AddFile("/schemas/{event}/{version}", httpapi.File{ContentType: "application/schema+json", Read: func(path func(string) string) ([]byte, error) {
		schema := EventSchema(codec, path("event"), path("version"))
		if schema == nil {
			return nil, httpapi.NotFound(fmt.Sprintf("There is no event type %q with a schema version %s that is known.", path("event"), path("version")),
				"x-events of /openapi.json has all of them.")
		}
		return schema, nil
	}})
}

func schemaPath(name string, version int) string {
	return fmt.Sprintf("/schemas/%s/%d", url.PathEscape(name), version)
}

// EventSchema returns the JSON Schema of a schema version of an event type, under its present name or a
// former one; nil if the codec cannot read that.
func EventSchema(codec *eventstore.Codec, name, version string) []byte {
	for _, v := range codec.Versions(name) {
		if strconv.Itoa(v.Version) != version {
			continue
		}
		s := newSchemas("#/$defs/")
		o := s.members(v.Type, event)
		o["$schema"], o["title"] = "https://json-schema.org/draft/2020-12/schema", codec.Names(name)[0]
		o["$id"] = schemaPath(codec.Names(name)[0], v.Version)
		if len(s.definitions) > 0 {
			o["$defs"] = s.definitions
		}
		return encode(o)
	}
	return nil
}
