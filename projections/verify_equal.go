package projections

import (
	"bytes"
	"reflect"
	"time"

	"github.com/57528e99/recount/internal/jsondiff"
)

// same reports whether a row of the table is as it should be. The table's columns are compared as
// they are stored: to scan them to a Row would hide what its types cannot tell apart.
func (p *foldProjector[K, Row]) same(want *entry[Row], got *stored[K]) (bool, error) {
	if want.row == nil || got == nil {
		return want.row == nil && got == nil, nil
	}
	if want.position != got.position {
		return false, nil
	}
	return p.sameRow(want.row, got)
}

func (p *foldProjector[K, Row]) sameRow(want *Row, got *stored[K]) (bool, error) {
	values, err := p.layout.Row.Args(reflect.ValueOf(want).Elem())
	if err != nil {
		return false, err
	}
	for i, c := range p.layout.Row {
		if !sameValue(c.Type, values[i], got.values[i]) {
			return false, nil
		}
	}
	return true, nil
}

// sameValue compares two parameters as PostgreSQL does.
func sameValue(sqlType string, a, b any) bool {
	switch left := a.(type) {
	case time.Time:
		right, ok := b.(time.Time)
		return ok && left.Equal(right)
	case []byte:
		right, ok := b.([]byte)
		return ok && (left == nil) == (right == nil) && bytes.Equal(left, right)
	case float64:
		right, ok := b.(float64)
		return ok && (left == right || left != left && right != right)
	case string:
		right, ok := b.(string)
		return ok && (left == right || sqlType == "jsonb" && sameJSON(left, right))
	default:
		return a == b
	}
}

func sameJSON(a, b string) bool {
	differences, err := jsondiff.Of([]byte(a), []byte(b))
	return err == nil && len(differences) == 0
}
