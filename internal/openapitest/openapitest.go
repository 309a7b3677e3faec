// Package openapitest checks an API against its OpenAPI document.
package openapitest

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

// New fails the test if the document is no OpenAPI. It returns a function that fails it if an answer to a request is not
// one that the document describes.
func New(t *testing.T, document []byte) func(*http.Request, *http.Response) {
	t.Helper()
	d, err := openapi3.NewLoader().LoadFromData(document)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	router, err := gorillamux.NewRouter(d)
	if err != nil {
		t.Fatal(err)
	}
	return func(r *http.Request, answer *http.Response) {
		t.Helper()
		route, params, err := router.FindRoute(r)
		if err == nil {
			err = openapi3filter.ValidateResponse(r.Context(), &openapi3filter.ResponseValidationInput{
				RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route},
				Status:                 answer.StatusCode, Header: answer.Header, Body: answer.Body,
				Options: &openapi3filter.Options{IncludeResponseStatus: true},
			})
		}
		if err != nil {
			t.Errorf("%s %s = %d is not as the document says: %v", r.Method, r.URL, answer.StatusCode, err)
		}
	}
}

// Required sends to each route whose body must have members bodies that lack one of them, and fails the test unless the answer is
// 400 about that member. It returns how many there were. Do sends a request.
func Required(t *testing.T, document []byte, do func(method, target, body string) (status int, answer string)) (sent int) {
	t.Helper()
	d, err := openapi3.NewLoader().LoadFromData(document)
	if err != nil {
		t.Fatal(err)
	}
	for path, item := range d.Paths.Map() {
		for method, operation := range item.Operations() {
			if operation.RequestBody == nil {
				continue
			}
			schema := operation.RequestBody.Value.Content.Get("application/json").Schema
			for _, pointer := range requiredOf(schema, "") {
				text, err := json.Marshal(sampleOf(schema, "", pointer))
				if err != nil {
					t.Fatal(err)
				}
				sent++
				target := variable.ReplaceAllString(path, "none")
				if status, answer := do(method, target, string(text)); status != http.StatusBadRequest || !strings.Contains(answer, `"pointer":"`+pointer+`"`) {
					t.Errorf("%s %s with %s = %d %s, want 400 about %s, which the document demands", method, target, text, status, answer, pointer)
				}
			}
		}
	}
	return sent
}

var variable = regexp.MustCompile(`{[^}]*}`)

// requiredOf returns the pointers of the members that a schema demands; of those in a list, of the first.
func requiredOf(schema *openapi3.SchemaRef, at string) (all []string) {
	for _, name := range schema.Value.Required {
		all = append(all, at+"/"+name)
		if member := schema.Value.Properties[name]; member.Value.Items != nil {
			all = append(all, requiredOf(member.Value.Items, at+"/"+name+"/0")...)
		} else {
			all = append(all, requiredOf(member, at+"/"+name)...)
		}
	}
	return all
}

// sampleOf returns a value of the types of a schema, with what it demands but what is at without.
func sampleOf(schema *openapi3.SchemaRef, at, without string) any {
	switch s := schema.Value; {
	case s.Type.Includes("object"):
		all := make(map[string]any)
		for _, name := range s.Required {
			if at+"/"+name != without {
				all[name] = sampleOf(s.Properties[name], at+"/"+name, without)
			}
		}
		return all
	case s.Type.Includes("array"):
		return []any{sampleOf(s.Items, at+"/0", without)}
	case s.Type.Includes("integer"), s.Type.Includes("number"):
		return 1
	case s.Type.Includes("boolean"):
		return true
	case s.Format == "date-time":
		return "2030-01-02T03:04:05Z"
	case s.Type.Includes("string"):
		return "x"
	}
	return map[string]any{}
}
