package commandtest

import (
	"reflect"
	"unsafe"
)

// spare is how many elements of spare capacity a slice in a copy has.
const spare = 2

// writes calls f with a deep copy of arg and returns, one line each, what f has
// written into it.
func writes[A any](arg A, f func(A)) []string {
	before, given := deepCopy(arg), deepCopy(arg)
	f(given)
	return compareSpare(before, given, "%s became %s")
}

// deepCopy copies v with all it refers to. Slices get spare capacity filled with
// values that are not zero, so that an append into it shows.
func deepCopy[T any](v T) T {
	copier{seen: make(map[reference]reflect.Value)}.deepen(reflect.ValueOf(&v).Elem())
	return v
}

// reference is a pointer, map or slice that was met.
type reference struct {
	at  unsafe.Pointer
	typ reflect.Type
	len int
}

// copier remembers what it copied, so that what was shared is shared in the copy
// and cycles end.
type copier struct{ seen map[reference]reflect.Value }

// deepen replaces what v refers to by copies. V is settable.
func (c copier) deepen(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		if !opaque(v.Type()) {
			for i := range v.NumField() {
				c.deepen(settable(v.Field(i)))
			}
		}
	case reflect.Array:
		for i := range v.Len() {
			c.deepen(v.Index(i))
		}
	case reflect.Interface:
		if !v.IsNil() {
			v.Set(c.deepened(v.Elem()))
		}
	case reflect.Pointer, reflect.Map, reflect.Slice:
		if !v.IsNil() {
			v.Set(c.copyOf(v))
		}
	}
}

func (c copier) deepened(v reflect.Value) reflect.Value {
	v = held(v)
	c.deepen(v)
	return v
}

// copyOf returns the copy of what a pointer, map or slice refers to.
func (c copier) copyOf(v reflect.Value) reflect.Value {
	ref := reference{at: v.UnsafePointer(), typ: v.Type()}
	if v.Kind() == reflect.Slice {
		ref.len = v.Len()
	}
	if known, ok := c.seen[ref]; ok {
		return known
	}
	switch v.Kind() {
	case reflect.Pointer:
		if opaque(v.Type().Elem()) {
			return v
		}
		p := reflect.New(v.Type().Elem())
		c.seen[ref] = p.Convert(v.Type())
		p.Elem().Set(v.Elem())
		c.deepen(p.Elem())
	case reflect.Map:
		m := reflect.MakeMapWithSize(v.Type(), v.Len())
		c.seen[ref] = m
		for it := v.MapRange(); it.Next(); {
			m.SetMapIndex(it.Key(), c.deepened(it.Value()))
		}
	case reflect.Slice:
		s := reflect.MakeSlice(v.Type(), v.Len(), v.Len()+spare)
		c.seen[ref] = s
		reflect.Copy(s, v)
		for i := range s.Len() {
			c.deepen(s.Index(i))
		}
		for i := range spare {
			mark(s.Slice(0, s.Cap()).Index(s.Len() + i))
		}
	}
	return c.seen[ref]
}

// mark gives v a value that is not zero, where its type has one that is known.
func mark(v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(0x5a)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		v.SetUint(0x5a)
	case reflect.Float32, reflect.Float64:
		v.SetFloat(0x5a)
	case reflect.Complex64, reflect.Complex128:
		v.SetComplex(0x5a)
	case reflect.String:
		v.SetString("spare capacity")
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()).Convert(v.Type()))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	case reflect.Array:
		for i := range v.Len() {
			mark(v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			mark(settable(v.Field(i)))
		}
	}
}

// opaque tells of types that never change and whose insides compare by identity:
// times with their locations, and interned values.
func opaque(t reflect.Type) bool { return t.PkgPath() == "time" || t.PkgPath() == "unique" }

// settable returns a field of a struct that can be set, so that unexported ones
// are no blind spot.
func settable(field reflect.Value) reflect.Value {
	return reflect.NewAt(field.Type(), unsafe.Pointer(field.UnsafeAddr())).Elem()
}

// held returns v in a place of its own, where it can be set.
func held(v reflect.Value) reflect.Value {
	place := reflect.New(v.Type()).Elem()
	place.Set(v)
	return place
}
