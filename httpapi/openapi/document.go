package openapi

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/httpapi"
)

// Info says of which service the API is.
type Info struct {
	Title, Description, Version string
	// ActorHeader is the header of requests by which the service makes out who sends them. Default: Authorization.
	ActorHeader string
}

// Document returns the OpenAPI 3.1 document of an API whose events a codec has. Beside what the standard
// has, x-events are the event types, by name, with their schemas.
func Document(info Info, a *httpapi.API, codec *eventstore.Codec) []byte {
	d := document{newSchemas("#/components/schemas/"), a.Routes(), false}
	d.authenticates = slices.ContainsFunc(d.routes, func(r httpapi.Route) bool { return r.Authenticated })
	bearer := a.AsksForTokens()
	events := d.events(codec)
	d.schemas.define("Problem", typeIn{reflect.TypeFor[httpapi.Problem](), answer})
	paths := make(map[string]object)
	for _, r := range d.routes {
		path := template.ReplaceAllString(r.Path, "{$1}")
		if paths[path] == nil {
			paths[path] = make(object)
		}
		paths[path][strings.ToLower(r.Method)] = d.operation(r)
	}
	d.nameCommands()
	security, schemes := []object{}, object{} // nobody is asked who he is
	switch {
	case bearer:
		security = append(security, object{"token": []string{}})
		schemes["token"] = object{"type": "http", "scheme": "bearer", "description": "A token of the operator's; 401 unauthenticated without one that holds."}
	case d.authenticates:
		security = append(security, object{"actor": []string{}})
		schemes["actor"] = object{
			"type": "apiKey", "in": "header", "name": cmp.Or(info.ActorHeader, "Authorization"),
			"description": "Says who sends the request, as the service makes it out; 401 unauthenticated where it cannot.",
		}
	}
	return encode(object{
		"openapi": "3.1.0", "security": security,
		"info":    object{"title": info.Title, "description": info.Description, "version": info.Version},
		"servers": []object{{"url": "/"}},
		"tags":    d.tags(),
		"paths":   paths,
		"components": object{
			"securitySchemes": schemes,
			"schemas":         d.schemas.definitions, "parameters": requestHeaders, "headers": answerHeaders,
			"responses": object{"Problem": object{
				"description": "A problem, see RFC 9457. /problems/{code} says what it means and what to do.",
				"headers":     object{"Retry-After": referenceTo("headers", "Retry-After")},
				"content":     object{"application/problem+json": object{"schema": d.schemas.to("Problem")}},
			}},
		},
		"x-events": events,
	})
}

// encode returns JSON, with the members in the order of their names.
func encode(o object) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(o); err != nil {
		panic(err) // it is all maps, lists and texts
	}
	return b.Bytes()
}

type document struct {
	schemas *schemas
	routes  []httpapi.Route
	// authenticates says that some routes are not for everybody.
	authenticates bool
}

// template is a variable in a path, with a pattern or without.
var template = regexp.MustCompile(`\{([^}:]+)[^}]*\}`)

// tags are the sections, the routes of the API itself at the end.
func (d document) tags() (tags []object) {
	names := []string{own}
	for _, r := range d.routes {
		if !slices.Contains(names, sectionOf(r)) {
			names = append(names, sectionOf(r))
		}
	}
	for _, name := range append(names[1:], own) {
		tags = append(tags, object{"name": name})
	}
	return tags
}

// own is the section of routes that are in none.
const own = "server"

func sectionOf(r httpapi.Route) string { return cmp.Or(r.Section, own) }

func (d document) operation(r httpapi.Route) object {
	o := object{
		"operationId": operationID(r), "tags": []string{sectionOf(r)},
		"parameters": d.parameters(r), "responses": d.responses(r),
	}
	if r.Command != "" {
		o["summary"] = "Command " + r.Command
	}
	if !r.Public {
		o["x-access"] = r.Access
	}
	if d.authenticates && !r.Authenticated {
		o["security"] = []object{}
	}
	// Without members there is nothing to send.
	if r.Body != nil && r.Body.Kind() == reflect.Struct && r.Body.NumField() > 0 {
		schema := d.schemas.of(r.Body, body)
		o["requestBody"] = object{
			"required": !r.OptionalBody || d.schemas.definition(schema)["required"] != nil,
			"content":  object{"application/json": object{"schema": schema}},
		}
	}
	return o
}

var notInID = regexp.MustCompile(`[^A-Za-z0-9]+`)

// operationID is the name of the command, or made of method and path.
func operationID(r httpapi.Route) string {
	if r.Command != "" {
		return r.Command
	}
	return strings.Trim(notInID.ReplaceAllString(strings.ToLower(r.Method)+r.Path, "-"), "-")
}

func referenceTo(kind, name string) object {
	return object{"$ref": "#/components/" + kind + "/" + name}
}

func (d document) parameters(r httpapi.Route) []object {
	list := []object{}
	for _, m := range template.FindAllStringSubmatch(r.Path, -1) {
		list = append(list, object{"name": m[1], "in": "path", "required": true, "schema": object{"type": "string", "minLength": 1, "maxLength": 512}})
	}
	for _, p := range r.Parameters {
		list = append(list, object{"name": p.Name, "in": "query", "schema": schemaOf(p)})
	}
	names := headersOf[r.Sort]
	if r.Conditional {
		names = ofConditional
	}
	for _, name := range names {
		list = append(list, referenceTo("parameters", name))
	}
	return list
}

func schemaOf(p httpapi.Parameter) object {
	o := object{"type": p.Type}
	switch {
	case p.Format != "":
		o["format"] = p.Format
	case p.Type == "integer":
		o["minimum"], o["maximum"], o["default"] = p.Low, p.High, p.Default
	case len(p.Values) > 0:
		o["enum"] = p.Values
	case p.MaxBytes > 0:
		o["minLength"], o["maxLength"] = 1, p.MaxBytes
	}
	return o
}

// responses are those of success, and those of the problems: for each status, the codes that there are.
func (d document) responses(r httpapi.Route) object {
	all := make(object)
	schemas := make(map[int][]object)
	for _, a := range r.Answers {
		content := object{}
		if a.Type != nil {
			schemas[a.Status] = append(schemas[a.Status], d.schemas.of(a.Type, answer))
			content["schema"] = schemas[a.Status][0]
			if len(schemas[a.Status]) > 1 {
				content["schema"] = object{"anyOf": schemas[a.Status]}
			}
		}
		response := object{"description": http.StatusText(a.Status), "content": object{a.ContentType: content}}
		if headers := answerHeadersOf(r, a.Status); len(headers) > 0 {
			response["headers"] = headers
		}
		all[strconv.Itoa(a.Status)] = response
	}
	if r.Sort == httpapi.SortRead {
		all["304"] = object{"description": http.StatusText(http.StatusNotModified)}
	}
	codes := make(map[string][]string)
	for _, k := range r.Problems() {
		status := strconv.Itoa(k.Status)
		codes[status] = append(codes[status], k.Code)
	}
	for status, list := range codes {
		all[status] = object{"$ref": "#/components/responses/Problem", "description": strings.Join(list, ", ")}
	}
	return all
}

// nameCommands says of the route that runs any command which there are.
func (d document) nameCommands() {
	var names []string
	var bodies []object
	for _, r := range d.routes {
		if r.Command == "" {
			continue
		}
		names = append(names, r.Command)
		if o := d.schemas.of(r.Body, body); !slices.ContainsFunc(bodies, func(other object) bool { return reflect.DeepEqual(o, other) }) {
			bodies = append(bodies, o)
		}
	}
	for _, r := range d.routes {
		if r.AnyCommand && len(names) > 0 {
			one := d.membersOf(d.schemas.of(r.Body, body))
			each := d.membersOf(one["commands"].(object)["items"].(object))
			for _, members := range []object{one, each} {
				members["type"] = object{"type": "string", "enum": names}
				members["data"] = object{"anyOf": bodies}
			}
		}
	}
}

// membersOf returns the properties of a schema that is referred to.
func (d document) membersOf(reference object) object {
	return d.schemas.definition(reference)["properties"].(object)
}

// notInName is what the name of a component cannot have.
var notInName = regexp.MustCompile(`[^A-Za-z0-9._-]`)

func (d document) events(codec *eventstore.Codec) object {
	all := make(object)
	for _, name := range codec.TypeNamesOf(reflect.TypeFor[any]()) {
		versions := make(object)
		for _, v := range codec.Versions(name) {
			component := notInName.ReplaceAllString(fmt.Sprintf("%s.v%d", name, v.Version), "_")
			d.schemas.define(component, typeIn{v.Type, event})
			versions[strconv.Itoa(v.Version)] = object{"schema": d.schemas.to(component), "url": schemaPath(name, v.Version)}
		}
		all[name] = object{"former_names": codec.Names(name)[1:], "versions": versions}
	}
	return all
}
