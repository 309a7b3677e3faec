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

// A cursor is the place of the last row of a page: the values of the order's columns as a JSON
// array, behind a checksum of them and of the list's shape. The checksum tells cursors of other
// lists and made-up ones; it is no secret, and what one can reach with a forged cursor is a page of
// the same list.

const checksumBytes = 8

func (p *plan) checksum(values []byte) []byte {
	sum := sha256.Sum256(append([]byte(p.shape+"\x00"), values...))
	return sum[:checksumBytes]
}

// cursor returns the place of a row.
func (p *plan) cursor(key, row reflect.Value) (string, error) {
	values := make([]any, len(p.order))
	for i, c := range p.order {
		values[i] = valueOf(c, p.layout, key, row)
	}
	b, err := json.Marshal(values)
	if err != nil {
		return "", fmt.Errorf("make a cursor: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(append(p.checksum(b), b...)), nil
}

// after adds the condition that rows come after a cursor; the empty one is before all.
func (p *plan) after(cursor string) error {
	if cursor == "" || len(p.order) == 0 {
		return nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(b) < checksumBytes || !bytes.Equal(b[:checksumBytes], p.checksum(b[checksumBytes:])) {
		return ErrInvalidCursor
	}
	var values []json.RawMessage
	if err := json.Unmarshal(b[checksumBytes:], &values); err != nil || len(values) != len(p.order) {
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
