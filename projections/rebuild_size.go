package projections

import (
	"reflect"
	"time"
)

// sizeOf estimates the memory that v refers to, in bytes, beside its own size.
func sizeOf(v reflect.Value) int64 {
	switch v.Kind() {
	case reflect.String:
		return int64(v.Len())
	case reflect.Pointer:
		if v.IsNil() {
			return 0
		}
		return int64(v.Type().Elem().Size()) + sizeOf(v.Elem())
	case reflect.Slice:
		return int64(v.Cap())*int64(v.Type().Elem().Size()) + sizeOfElements(v)
	case reflect.Array:
		return sizeOfElements(v)
	case reflect.Map:
		const overhead = 16
		size := int64(v.Len()) * (int64(v.Type().Key().Size()+v.Type().Elem().Size()) + overhead)
		for entry := v.MapRange(); entry.Next(); {
			size += sizeOf(entry.Key()) + sizeOf(entry.Value())
		}
		return size
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return 0 // its location is shared
		}
		var size int64
		for i := range v.NumField() {
			size += sizeOf(v.Field(i))
		}
		return size
	default:
		return 0
	}
}

func sizeOfElements(v reflect.Value) int64 {
	switch v.Type().Elem().Kind() {
	case reflect.String, reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map, reflect.Struct:
		var size int64
		for i := range v.Len() {
			size += sizeOf(v.Index(i))
		}
		return size
	default:
		return 0
	}
}
