package commandtest

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
)

// What is printed is bounded.
const (
	maxDifferences = 10
	maxShown       = 200 // bytes of one part
)

// compare returns the differences between two values, each with its place in
// them. Format renders a pair of parts.
func compare[T any](a, b T, format string) []string {
	return differences(differ{format: format}, a, b)
}

// compareSpare is compare with what slices hold beyond their length.
func compareSpare[T any](a, b T, format string) []string {
	return differences(differ{format: format, spare: true}, a, b)
}

func differences[T any](d differ, a, b T) []string {
	d.seen = make(map[[2]reference]bool)
	d.walk("", reflect.ValueOf(&a).Elem(), reflect.ValueOf(&b).Elem())
	if n := len(d.found); n > maxDifferences {
		return append(d.found[:maxDifferences:maxDifferences], fmt.Sprintf("and %d more", n-maxDifferences))
	}
	return d.found
}

// differ walks two values of one type side by side. Both are settable, as
// unexported fields can be read only then.
type differ struct {
	format string
	spare  bool
	seen   map[[2]reference]bool
	found  []string
}

func (d *differ) walk(path string, a, b reflect.Value) {
	switch a.Kind() {
	case reflect.Struct:
		if opaque(a.Type()) {
			d.leaf(path, a, b)
			return
		}
		for i := range a.NumField() {
			d.walk(path+"."+a.Type().Field(i).Name, settable(a.Field(i)), settable(b.Field(i)))
		}
	case reflect.Array:
		for i := range a.Len() {
			d.walk(fmt.Sprintf("%s[%d]", path, i), a.Index(i), b.Index(i))
		}
	case reflect.Interface:
		switch {
		case a.IsNil() || b.IsNil():
			d.leaf(path, a, b)
		case a.Elem().Type() != b.Elem().Type():
			d.add(path, a.Elem().Type().String(), b.Elem().Type().String())
		default:
			d.walk(path, held(a.Elem()), held(b.Elem()))
		}
	case reflect.Pointer, reflect.Map, reflect.Slice:
		d.reference(path, a, b)
	default:
		d.leaf(path, a, b)
	}
}

// reference compares what pointers, maps or slices refer to, each pair once.
func (d *differ) reference(path string, a, b reflect.Value) {
	if a.IsNil() || b.IsNil() {
		if a.IsNil() != b.IsNil() {
			d.add(path, show(a), show(b))
		}
		return
	}
	pair := [2]reference{{at: a.UnsafePointer(), typ: a.Type()}, {at: b.UnsafePointer(), typ: b.Type()}}
	if a.Kind() == reflect.Slice {
		pair[0].len, pair[1].len = a.Len(), b.Len()
	}
	if d.seen[pair] {
		return
	}
	d.seen[pair] = true
	switch a.Kind() {
	case reflect.Pointer:
		if opaque(a.Type().Elem()) {
			d.leaf(path, a, b)
			return
		}
		d.walk(path, a.Elem(), b.Elem())
	case reflect.Map:
		d.maps(path, a, b)
	case reflect.Slice:
		d.slices(path, a, b)
	}
}

func (d *differ) slices(path string, a, b reflect.Value) {
	if a.Len() != b.Len() {
		d.add(path, fmt.Sprintf("%d elements", a.Len()), fmt.Sprintf("%d elements", b.Len()))
	}
	shared := min(a.Len(), b.Len())
	for i := range shared {
		d.walk(fmt.Sprintf("%s[%d]", path, i), a.Index(i), b.Index(i))
	}
	if d.spare && a.Len() == b.Len() {
		a, b = a.Slice(0, a.Cap()), b.Slice(0, b.Cap())
		for i := shared; i < min(a.Len(), b.Len()); i++ {
			d.walk(fmt.Sprintf("%s[%d] (spare capacity)", path, i), a.Index(i), b.Index(i))
		}
	}
}

func (d *differ) maps(path string, a, b reflect.Value) {
	keys := a.MapKeys()
	for _, k := range b.MapKeys() {
		if !a.MapIndex(k).IsValid() {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(x, y reflect.Value) int { return cmp.Compare(show(x), show(y)) })
	for _, k := range keys {
		inA, inB := a.MapIndex(k), b.MapIndex(k)
		at := fmt.Sprintf("%s[%s]", path, show(k))
		switch {
		case inA.IsValid() && inB.IsValid():
			d.walk(at, held(inA), held(inB))
		case inA.IsValid() || inB.IsValid(): // a NaN is found in neither
			d.add(at, show(inA), show(inB))
		}
	}
}

func (d *differ) leaf(path string, a, b reflect.Value) {
	if !equal(a, b) {
		d.add(path, show(a), show(b))
	}
}

// equal compares values that hold no others. Functions are equal if they have
// the same code, and a NaN is equal to itself.
func equal(a, b reflect.Value) bool {
	switch {
	case a.Kind() == reflect.Func:
		return a.Pointer() == b.Pointer()
	case a.CanFloat():
		return a.Float() == b.Float() || a.Float() != a.Float() && b.Float() != b.Float()
	default:
		return reflect.DeepEqual(a.Interface(), b.Interface())
	}
}

func (d *differ) add(path, a, b string) {
	if path == "" {
		path = "value"
	}
	d.found = append(d.found, path+": "+fmt.Sprintf(d.format, a, b))
}

func show(v reflect.Value) string {
	if !v.IsValid() {
		return "nothing"
	}
	text := fmt.Sprintf("%+v", v.Interface())
	switch v.Kind() {
	case reflect.String:
		text = fmt.Sprintf("%q", v.String())
	case reflect.Slice, reflect.Map:
		if v.IsNil() {
			text = "nil"
		}
	}
	if len(text) > maxShown {
		text = text[:maxShown] + "…"
	}
	return text
}
