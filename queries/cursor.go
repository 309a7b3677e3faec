package queries

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// A cursor is a place in a list as JSON, behind a checksum of it and of the list it belongs to. The
// checksum tells cursors of other lists and made-up ones; it is no secret, and what one can reach
// with a forged cursor is a page of the same list.

const checksumBytes = 8

// NewCursor returns the cursor of a place in a list, for lists that are read with SQL; Find makes its
// own. List says which list it is, e.g. a struct of its filters and its order, and place where to
// go on in it. Both must marshal as JSON, and to the same again.
func NewCursor(list, place any) (string, error) {
	text, err := json.Marshal(place)
	if err != nil {
		return "", fmt.Errorf("make a cursor: %w", err)
	}
	sum, err := checksum(list, text)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(append(sum, text...)), nil
}

// ParseCursor reads a cursor of the list into place, a pointer. Any other text is ErrInvalidCursor.
func ParseCursor(cursor string, list, place any) error {
	b, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(b) < checksumBytes {
		return ErrInvalidCursor
	}
	text := b[checksumBytes:]
	sum, err := checksum(list, text)
	if err != nil {
		return err
	}
	// No text in the database has a NUL, so such a place is in no list.
	if !bytes.Equal(b[:checksumBytes], sum) || bytes.Contains(text, []byte(`\u0000`)) || json.Unmarshal(text, place) != nil {
		return ErrInvalidCursor
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

// cursor returns the place of a row: the values of the order's columns.
func (p *plan) cursor(key, row reflect.Value) (string, error) {
	values := make([]any, len(p.order))
	for i, c := range p.order {
		values[i] = valueOf(c, p.layout, key, row)
	}
	return NewCursor(p.shape, values)
}

// after adds the condition that rows come after a cursor; the empty one is before all.
func (p *plan) after(cursor string) error {
	if cursor == "" || len(p.order) == 0 {
		return nil
	}
	var values []json.RawMessage
	if err := ParseCursor(cursor, p.shape, &values); err != nil {
		return err
	}
	if len(values) != len(p.order) {
		return ErrInvalidCursor
	}
	var names, args []string
	for i, c := range p.order {
		value := c.New()
		if err := json.Unmarshal(values[i], value.Interface()); err != nil {
			return ErrInvalidCursor
		}
		arg, err := p.convert(c, value.Elem().Interface())
		if err != nil {
			return ErrInvalidCursor
		}
		names, args = append(names, c.Name), append(args, p.arg(arg))
	}
	operator := ">"
	if p.desc {
		operator = "<"
	}
	p.conditions = append(p.conditions, fmt.Sprintf("(%s) %s (%s)", list(names), operator, strings.Join(args, ", ")))
	return nil
}
