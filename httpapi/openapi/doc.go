// Package openapi describes an API to programs and to people: an OpenAPI 3.1 document, JSON Schemas of
// the events, and a page that shows both. All of it is made of what the API was registered with, so that it
// cannot say anything else than the API does. Breaking finds what a change of it takes from clients.
package openapi
