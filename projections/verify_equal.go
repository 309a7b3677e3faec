package projections

import (
	"bytes"
	"encoding/json"
	"reflect"
	"time"
)

func (p *foldProjector[K, Row]) same(want *entry[Row], got *stored[K, Row]) (bool, error) {
	if want.row == nil || got == nil {
		return want.row == nil && got == nil, nil
	}
	if want.position != got.position {
		return false, nil
	}
	return p.sameRow(want.row, got.row)
}

func (p *foldProjector[K, Row]) sameRow(a, b *Row) (bool, error) {
	left, err := p.layout.Row.Args(reflect.ValueOf(a).Elem())
	if err != nil {
		return false, err
	}
	right, err := p.layout.Row.Args(reflect.ValueOf(b).Elem())
	if err != nil {
		return false, err
	}
	for i, c := range p.layout.Row {
		if !sameValue(c.Type, left[i], right[i]) {
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
	var left, right any
	return json.Unmarshal([]byte(a), &left) == nil && json.Unmarshal([]byte(b), &right) == nil && reflect.DeepEqual(left, right)
}
