package queries

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/pgsql"
	"github.com/57528e99/recount/internal/rowmap"
)

// A cursor is a place in a list as JSON, behind a checksum of it and of the list it belongs to. The
// checksum tells cursors of other lists and made-up ones; it is no secret, and what one can reach
// with a forged cursor is a page of the same list.

const checksumBytes = 8

// newCursor returns the cursor of a place in a list. List says which list it is, and place where to
// go on in it. Both must marshal as JSON, and to the same again.
func newCursor(list, place any) (string, error) {
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

// parseCursor reads a cursor of the list into place, a pointer. Any other text is ErrInvalidCursor.
func parseCursor(cursor string, list, place any) error {
	b, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(b) < checksumBytes {
		return ErrInvalidCursor
	}
	text := b[checksumBytes:]
	sum, err := checksum(list, text)
	if err != nil {
		return err
	}
	if !bytes.Equal(b[:checksumBytes], sum) || json.Unmarshal(text, place) != nil {
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

// order is what gives each row of a list its place.
type order struct {
	columns []rowmap.Column
	desc    bool
}

func (o order) names() []string { return rowmap.Columns(o.columns).Names() }

// cursor returns the cursor of a row, whose values of the columns value returns.
func (o order) cursor(list string, value func(rowmap.Column) any) (string, error) {
	values := make([]any, len(o.columns))
	for i, c := range o.columns {
		values[i] = value(c)
	}
	return newCursor(list, values)
}

// after returns the condition that rows come after a cursor, with parameters behind those in args,
// and all parameters. The empty cursor is before all rows: there is no condition.
func (o order) after(cursor, of string, args []any) (condition string, _ []any, _ error) {
	place, err := o.place(cursor, of)
	if err != nil || place == nil {
		return "", args, err
	}
	var parameters []string
	for _, arg := range place {
		args = append(args, arg)
		parameters = append(parameters, fmt.Sprintf("$%d", len(args)))
	}
	operator := ">"
	if o.desc {
		operator = "<"
	}
	return fmt.Sprintf("(%s) %s (%s)", list(o.names()), operator, strings.Join(parameters, ", ")), args, nil
}

// place returns the values of the row that a cursor is of, as parameters; nil, if the cursor is
// empty.
func (o order) place(cursor, of string) (place []any, _ error) {
	if cursor == "" || len(o.columns) == 0 {
		return nil, nil
	}
	var values []json.RawMessage
	if err := parseCursor(cursor, of, &values); err != nil {
		return nil, err
	}
	if len(values) != len(o.columns) {
		return nil, ErrInvalidCursor
	}
	for i, c := range o.columns {
		value := c.New()
		if err := json.Unmarshal(values[i], value.Interface()); err != nil {
			return nil, ErrInvalidCursor
		}
		arg, err := convert(c, value.Elem().Interface())
		if err != nil {
			return nil, ErrInvalidCursor
		}
		place = append(place, arg)
	}
	return place, nil
}

// pageSize is what a page has so far, of limit rows and eventstore.DefaultPageBytes at most; limit
// 0: there is no bound. A single row may have more bytes.
type pageSize struct {
	limit, rows, bytes int
	// full says that there was another row.
	full bool
}

// hasRoom reports whether the row that was read last belongs to the page.
func (s *pageSize) hasRoom(rows pgx.Rows) bool {
	if s.limit == 0 {
		return true
	}
	s.bytes += pgsql.Size(rows)
	s.full = s.rows == s.limit || s.bytes > eventstore.DefaultPageBytes && s.rows > 0
	s.rows++
	return !s.full
}

// sql returns the end of the statement for a page and one row more, which tells whether there is
// another.
func (o order) sql(limit int) string {
	var b strings.Builder
	for i, c := range o.columns {
		b.WriteString([]string{" ORDER BY ", ", "}[min(i, 1)] + pgsql.Name(c.Name))
		if o.desc {
			b.WriteString(" DESC")
		}
	}
	fmt.Fprintf(&b, " LIMIT %d", limit+1)
	return b.String()
}
