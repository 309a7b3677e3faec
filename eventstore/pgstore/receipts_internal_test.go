package pgstore

import (
	"slices"
	"testing"
)

// FuzzReceiptResult reads what receipts keep of an append.
func FuzzReceiptResult(f *testing.F) {
	f.Add([]byte(`[{"stream":"order-1","version":0,"position":7},{"stream":"a","version":9223372036854775807,"position":8}]`))
	f.Add([]byte("null"))
	f.Add([]byte(`[{"version":-1}]`))
	f.Add([]byte(`{"stream":1}`))
	s := &Store{}
	s.known.Store(&incarnation{n: 1})
	f.Fuzz(func(t *testing.T, stored []byte) {
		appended, err := s.parseResult(stored)
		if err != nil {
			return
		}
		back, err := s.parseResult(formatResult(appended))
		if err != nil || !slices.Equal(back, appended) {
			t.Errorf("%q is read as %+v, and that as %+v, %v", stored, appended, back, err)
		}
		for _, a := range appended {
			if a.Token.Position < a.Position {
				t.Errorf("%q is read as %+v, whose token does not reach its position", stored, a)
			}
		}
	})
}
