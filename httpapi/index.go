package httpapi

import (
	"bytes"
	"cmp"
	"encoding"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/go-json-experiment/json"
)

// indexLine is a route in the index that GET / answers.
type indexLine struct {
	Method string `json:"method"`
	Path   string `json:"path"`
	// Public says that anybody may use it; else Access says what a request does, and with what.
	Public bool    `json:"public,omitzero"`
	Access *Access `json:"access,omitzero"`
	// Parameters are the names of the query parameters.
	Parameters []string `json:"parameters,omitzero"`
	// Body has the members of the body.
	Body []member `json:"body,omitzero"`
}

// member is a member of a JSON object.
type member struct {
	Name string `json:"name"`
	// Type is that of JSON, or any.
	Type string `json:"type"`
	// Members are those of an object, or of each object in an array.
	Members []member `json:"members,omitzero"`
}

// index is the answer of GET /.
type index struct {
	Routes []indexLine `json:"routes"`
}

func (a *API) index(x *exchange) error {
	var all index
	for _, r := range a.routes {
		line := indexLine{Method: r.Method, Path: r.Path, Public: r.Public, Body: membersOf(r.Body)}
		if !r.Public {
			line.Access = &r.Access
		}
		for _, p := range r.Parameters {
			line.Parameters = append(line.Parameters, p.Name)
		}
		all.Routes = append(all.Routes, line)
	}
	x.w.Header().Set("Vary", "Accept, User-Agent")
	if wantsText(x.r.Header) {
		x.write(http.StatusOK, textType, a.indexText(all.Routes))
		return nil
	}
	return x.writeJSON(http.StatusOK, all)
}

// wantsText reports whether a client asks for text and not for JSON, or for anything and is a program that people read the output of. Others
// that ask for anything, as HTTP libraries do, are programs.
func wantsText(h http.Header) bool {
	accept, agent := h.Get("Accept"), h.Get("User-Agent")
	return !strings.Contains(accept, "json") && (strings.Contains(accept, "text/") ||
		strings.Contains(accept, "*/*") && (strings.HasPrefix(agent, "curl/") || strings.HasPrefix(agent, "Wget/")))
}

// indexText is the index for people: a line for each route, by sections, those of the API itself last.
func (a *API) indexText(lines []indexLine) []byte {
	var text, last bytes.Buffer
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	own := tabwriter.NewWriter(&last, 0, 0, 2, ' ', 0)
	section := ""
	for i, line := range lines {
		to := w
		if in := a.routes[i].Section; in == "" {
			to = own
		} else if in != section {
			section = in
			fmt.Fprintf(w, "%s:\n", section)
		}
		var takes []string
		for _, m := range line.Body {
			takes = append(takes, m.Name)
		}
		if len(line.Parameters) > 0 {
			takes = append(takes, "?"+strings.Join(line.Parameters, "&"))
		}
		does := "-"
		if line.Access != nil {
			does = string(line.Access.Action)
			if line.Access.Own {
				does = "own"
			}
		}
		fmt.Fprintf(to, "  %s\t%s\t%s\t%s\n", line.Method, line.Path, does, strings.Join(takes, " "))
	}
	w.Flush()
	own.Flush()
	text.WriteString("this server:\n")
	text.Write(last.Bytes())
	text.WriteString("\nBehind a path are the role that it needs where servers ask for tokens (-: none; own: tokens of its own), the members of its body, and its parameters. With Accept: application/json this is JSON, with their types.\n")
	return text.Bytes()
}

// membersOf returns the members that a struct is decoded from. Those of a type
// within itself are left out: they would have no end. No type has none.
func membersOf(t reflect.Type, within ...reflect.Type) []member {
	if t == nil || t.Kind() != reflect.Struct || slices.Contains(within, t) {
		return nil
	}
	var list []member
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.IsExported() && !f.Anonymous && name != "-" {
			m := member{Name: cmp.Or(name, f.Name)}
			m.Type, m.Members = typeInJSON(f.Type, append(within, t))
			list = append(list, m)
		}
	}
	return list
}

// stringMember returns where a struct has the member of a name, if that is a text; nil if it has not.
func stringMember(t reflect.Type, name string) []int {
	for _, f := range reflect.VisibleFields(t) {
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		text := f.Type
		if text.Kind() == reflect.Pointer {
			text = text.Elem()
		}
		if f.IsExported() && !f.Anonymous && tag == name && text.Kind() == reflect.String {
			return f.Index
		}
	}
	return nil
}

func typeInJSON(t reflect.Type, within []reflect.Type) (name string, members []member) {
	switch pointer := reflect.PointerTo(t); {
	case t == reflect.TypeFor[Time](), pointer.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		return "string", nil
	case pointer.Implements(reflect.TypeFor[json.Unmarshaler]()):
		return "any", nil
	}
	switch t.Kind() {
	case reflect.Pointer:
		return typeInJSON(t.Elem(), within)
	case reflect.Struct:
		return "object", membersOf(t, within...)
	case reflect.Map:
		return "object", nil
	case reflect.Slice, reflect.Array:
		_, members := typeInJSON(t.Elem(), within)
		return "array", members
	case reflect.String:
		return "string", nil
	case reflect.Bool:
		return "boolean", nil
	case reflect.Float32, reflect.Float64:
		return "number", nil
	case reflect.Interface:
		return "any", nil
	}
	return "integer", nil
}
