// Package openapitest checks the answers of an API against its OpenAPI document.
package openapitest

import (
	"net/http"
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
