package projections

import (
	"fmt"
	"reflect"
	"time"
)

// bucketOf returns the bucket of a key, as it comes back from the table, among n. It is the same in
// every process: a rebuild that is resumed keeps the buckets that another one finished.
func bucketOf(key reflect.Value, n int) int {
	h := mix(fold64(offset64, key))
	return int(h % uint64(n))
}

// FNV-1a, with a finalizer: its lower bits alone are poor for numbers in a row.
const (
	offset64 = 14695981039346656037
	prime64  = 1099511628211
)

func fold64(h uint64, v reflect.Value) uint64 {
	switch {
	case v.CanInt():
		return foldUint(h, uint64(v.Int()))
	case v.CanUint():
		return foldUint(h, v.Uint())
	}
	switch v.Kind() {
	case reflect.String:
		for _, b := range []byte(v.String()) {
			h = (h ^ uint64(b)) * prime64
		}
		return (h ^ 0xff) * prime64 // so that "a", "bc" is not "ab", "c"
	case reflect.Bool:
		if v.Bool() {
			return foldUint(h, 1)
		}
		return foldUint(h, 0)
	case reflect.Array:
		for i := range v.Len() {
			h = fold64(h, v.Index(i))
		}
		return h
	case reflect.Struct:
		if t, ok := v.Interface().(time.Time); ok {
			return foldUint(h, uint64(t.UnixMicro()))
		}
		for i := range v.NumField() {
			h = fold64(h, v.Field(i))
		}
		return h
	default:
		panic(fmt.Sprintf("a key cannot have a %s", v.Type())) // rowmap.Key refuses it
	}
}

func foldUint(h, u uint64) uint64 {
	for range 8 {
		h = (h ^ u&0xff) * prime64
		u >>= 8
	}
	return h
}

// mix is the finalizer of SplitMix64.
func mix(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
