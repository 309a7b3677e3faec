package shop

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/queries"
)

// The cursor of a list is the place of the last item of a page as JSON, behind a
// checksum of it and of the list it belongs to. The checksum tells cursors of
// other lists and made-up ones; a forged cursor would lead to no other items
// than the list has.

const checksumBytes = 8

// newCursor returns the cursor of a place in a list. Both must be the same again
// as JSON.
func newCursor(list, place any) (httpapi.Cursor, error) {
	text, err := json.Marshal(place)
	if err != nil {
		return "", fmt.Errorf("make a cursor: %w", err)
	}
	sum, err := checksum(list, text)
	if err != nil {
		return "", err
	}
	return httpapi.Cursor(base64.RawURLEncoding.EncodeToString(append(sum, text...))), nil
}

// parseCursor reads a cursor of the list to place, a pointer. Any other text is
// queries.ErrInvalidCursor.
func parseCursor(cursor string, list, place any) error {
	b, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(b) < checksumBytes {
		return queries.ErrInvalidCursor
	}
	sum, err := checksum(list, b[checksumBytes:])
	if err != nil {
		return err
	}
	text := b[checksumBytes:]
	// No text in the database has a NUL, so this place is in no list.
	if !bytes.Equal(b[:checksumBytes], sum) || bytes.Contains(text, []byte(`\u0000`)) || json.Unmarshal(text, place) != nil {
		return queries.ErrInvalidCursor
	}
	return nil
}

func checksum(list any, place []byte) ([]byte, error) {
	text, err := json.Marshal(list)
	if err != nil {
		return nil, fmt.Errorf("make a cursor: %w", err)
	}
	sum := sha256.Sum256(append(text, place...))
	return sum[:checksumBytes], nil
}
