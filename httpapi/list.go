package httpapi

import (
	"github.com/go-json-experiment/json/jsontext"
)

// Page is the answer of a list: some of its items, and where the rest begins.
type Page[T any] struct {
	// Items are in the order of the list. None is [].
	Items []T `json:"items"`
	// Next is given back as the parameter after to get the next page. Empty at
	// the end, which is null in JSON.
	Next Cursor `json:"next"`
}

// Cursor is a place in a list, opaque to clients.
type Cursor string

// MarshalJSONTo writes the cursor, or null if there is none.
func (c Cursor) MarshalJSONTo(e *jsontext.Encoder) error {
	if c == "" {
		return e.WriteToken(jsontext.Null)
	}
	return e.WriteToken(jsontext.String(string(c)))
}

func (p Page[T]) nextCursor() Cursor { return p.Next }

// nextURL returns the request's own URL with another place to begin at. A
// consistency token is left out: the first page has waited for it.
func (x *exchange) nextURL(next Cursor) string {
	query := x.r.URL.Query()
	query.Del("consistency")
	query.Set("after", string(next))
	return x.r.URL.EscapedPath() + "?" + query.Encode()
}
