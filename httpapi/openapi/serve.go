package openapi

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // docs.html
	"encoding/base64"
	"fmt"
	"net/url"
	"strconv"
	"sync"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/httpapi"
)

// page shows the document to people. It loads nothing but that.
//
//go:embed docs.html
var page []byte

// policy lets the page run what is in it, and nothing that gets into it.
var policy = "default-src 'none'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; script-src " +
	hashOf("script") + "; style-src " + hashOf("style")

// hashOf returns the hash of the content of an element of the page.
func hashOf(element string) string {
	_, from, _ := bytes.Cut(page, []byte("<"+element+">"))
	content, _, _ := bytes.Cut(from, []byte("</"+element+">"))
	sum := sha256.Sum256(content)
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// Register adds the routes of the document, of a page that shows it, and of the schemas of the events that a codec has.
func Register(a *httpapi.API, info Info, codec *eventstore.Codec) {
	a.AddFile("/openapi.json", httpapi.File{Public: true, ContentType: "application/json", Read: func() func(func(string) string) ([]byte, error) {
		// Routes may be registered until the API is served.
		made := sync.OnceValue(func() []byte { return Document(info, a, codec) })
		return func(func(string) string) ([]byte, error) { return made(), nil }
	}()})
	a.AddFile("/docs", httpapi.File{Public: true, ContentType: "text/html; charset=utf-8", Policy: policy, Read: func(func(string) string) ([]byte, error) {
		return page, nil
	}})
	a.AddFile("/schemas/{event}/{version}", httpapi.File{Public: true, ContentType: "application/schema+json", Read: func(path func(string) string) ([]byte, error) {
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
