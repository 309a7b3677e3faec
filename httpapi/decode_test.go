package httpapi

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	v2 "github.com/go-json-experiment/json"
)

type line struct {
	SKU      string  `json:"sku"`
	Quantity int64   `json:"quantity"`
	Price    float64 `json:"price"`
}

type basket struct {
	At    Time    `json:"at,omitzero"`
	Guest *string `json:"guest"`
	Gift  bool    `json:"gift"`
	Lines []line  `json:"lines"`
}

func (b basket) Validate() error {
	if b.Gift && b.Guest == nil {
		return blame{"/guest", "must be set for a gift"}
	}
	return nil
}

type blame struct{ pointer, reason string }

func (b blame) Error() string                            { return b.pointer + " " + b.reason }
func (b blame) InvalidField() (pointer string, _ string) { return b.pointer, b.reason }

func TestDecodeTakesWhatFits(t *testing.T) {
	for _, body := range []string{
		`{}`,
		" \n{ } \t",
		`{"guest":null,"lines":null}`,
		`{"at":"2011-12-09T12:50:00.123+01:00","guest":"a b","lines":[{"sku":"é","quantity":9007199254740991,"price":1.5}]}`,
		`{"lines":[{"quantity":-9007199254740991},{"price":1e-400}]}`,
	} {
		var b basket
		if err := decode([]byte(body), &b); err != nil {
			t.Errorf("decode(%s): %v", body, err)
		}
	}
}

func TestDecodeRefusesWhatDoesNotFit(t *testing.T) {
	for _, c := range []struct{ body, code, pointer, detail string }{
		{``, "malformed-json", "-", "is empty"},
		{" \n", "malformed-json", "-", "is empty"},
		{`{`, "malformed-json", "", "too early"},
		{`nonsense`, "malformed-json", "", "byte 1"},
		{`{"gift":tru`, "malformed-json", "/gift", "too early"},
		{`{"gift":true} x`, "malformed-json", "-", "behind the end of the value at byte"},
		{`1 2`, "malformed-json", "-", "behind the end of the value at byte 1"},
		{`"a" x`, "malformed-json", "-", "behind the end of the value at byte 3"},
		{`{}{}`, "malformed-json", "-", "behind the end of the value at byte"},
		{"\ufeff{}", "malformed-json", "", "invalid character"},
		{`{gift:true}`, "malformed-json", "", "byte 1"},
		{`{"gift":true,"gift":true}`, "malformed-json", "/gift", "duplicate"},
		{`{"lines":[{"sku":"a","sku":"a"}]}`, "malformed-json", "/lines/0/sku", "duplicate"},
		{`{"guest":"\ud800"}`, "malformed-json", "/guest", "surrogate"},
		{`{"guest":"\ud800\u0041"}`, "malformed-json", "/guest", "surrogate"},
		{"{\"guest\":\"\xff\"}", "malformed-json", "/guest", "UTF-8"},
		{"{\"\xff\":1}", "malformed-json", "", "UTF-8"},
		{`{"lines":[{"quantity":01}]}`, "malformed-json", "/lines/0", "invalid character"},
		{`{"lines":[{"price":NaN}]}`, "malformed-json", "/lines/0/price", "invalid character"},
		{`null`, "invalid-body", "", "must be an object"},
		{`[]`, "invalid-body", "", "must be an object"},
		{`"x"`, "invalid-body", "", "must be an object"},
		{`7`, "invalid-body", "", "must be an object"},
		{`{"Gift":true}`, "invalid-body", "/Gift", "known are at, guest, gift, lines"},
		{`{"lines":[{"sku":"a"},{"skuu":1}]}`, "invalid-body", "/lines/1/skuu", "known are sku, quantity, price"},
		{`{"guest":7}`, "invalid-body", "/guest", "must be a string, it is a number"},
		{`{"gift":"yes"}`, "invalid-body", "/gift", "must be true or false, it is a string"},
		{`{"gift":null}`, "invalid-body", "/gift", "must not be null"},
		{`{"at":null}`, "invalid-body", "/at", "must not be null"},
		{`{"at":"yesterday"}`, "invalid-body", "/at", "RFC 3339"},
		{`{"at":1323435000}`, "invalid-body", "/at", "must be a time"},
		{`{"lines":{}}`, "invalid-body", "/lines", "must be an array, it is an object"},
		{`{"lines":[null]}`, "invalid-body", "/lines/0", "must not be null"},
		{`{"lines":[7]}`, "invalid-body", "/lines/0", "must be an object, it is a number"},
		{`{"lines":[{"quantity":"1"}]}`, "invalid-body", "/lines/0/quantity", "must be a whole number, it is a string"},
		{`{"lines":[{"quantity":1.5}]}`, "invalid-body", "/lines/0/quantity", "must be a whole number"},
		{`{"lines":[{"quantity":1e3}]}`, "invalid-body", "/lines/0/quantity", "must be a whole number"},
		{`{"lines":[{"quantity":9007199254740992}]}`, "invalid-body", "/lines/0/quantity", "9007199254740991"},
		{`{"lines":[{"quantity":-9007199254740992}]}`, "invalid-body", "/lines/0/quantity", "9007199254740991"},
		{`{"lines":[{"price":1e400}]}`, "invalid-body", "/lines/0/price", "9007199254740991"},
		{`{"lines":[{"price":-1e400}]}`, "invalid-body", "/lines/0/price", "9007199254740991"},
		{`{"guest":"a\u0000b"}`, "invalid-body", "/guest", "U+0000"},
		{`{"a\u0000b":1}`, "invalid-body", "/a\x00b", "U+0000"},
		{strings.Repeat(`{"lines":`, 40), "invalid-body", "-", "deeper than 32"},
		{`{"lines":` + strings.Repeat("[", 100_000), "invalid-body", "-", "deeper than 32"},
		{`{"gift":true}`, "invalid-body", "/guest", "must be set for a gift"},
	} {
		var b basket
		err := decode([]byte(c.body), &b)
		var p *Problem
		if !errors.As(err, &p) {
			t.Errorf("decode(%.60q) = %v, want a problem", c.body, err)
			continue
		}
		if p.Code != c.code || !strings.Contains(p.Detail, c.detail) {
			t.Errorf("decode(%.60q) = %s %q, want %s %q", c.body, p.Code, p.Detail, c.code, c.detail)
		}
		if c.pointer != "-" && (len(p.Errors) != 1 || *p.Errors[0].Pointer != c.pointer) {
			t.Errorf("decode(%.60q) blames %s, want %q", c.body, p.body(), c.pointer)
		}
	}
}

func TestCanonicalIgnoresSpelling(t *testing.T) {
	same := []string{`{"a":1,"b":"xA"}`, "{ \"b\" : \"x\\u0041\",\n\"a\": 1.0 }", `{"a":10e-1,"b":"xA"}`}
	want, err := canonical([]byte(same[0]))
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range same {
		if got, err := canonical([]byte(body)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("canonical(%s) = %s, %v, want %s", body, got, err, want)
		}
	}
	for _, body := range []string{`{"a":1,"b":"xa"}`, `{"a":2,"b":"xA"}`, `{"a":"1","b":"xA"}`, `{"a":1}`, `{}`} {
		if got, err := canonical([]byte(body)); err != nil || bytes.Equal(got, want) {
			t.Errorf("canonical(%s) = %s, %v, want another than %s", body, got, err, want)
		}
	}
}

// A pointer to the whole body is empty, and there all the same.
func TestAnErrorOfTheWholeBodyHasAPointer(t *testing.T) {
	for _, body := range []string{"\ufeff{}", "[]"} {
		var p *Problem
		if err := decode([]byte(body), &basket{}); !errors.As(err, &p) || !bytes.Contains(p.body(), []byte(`"errors":[{"pointer":"",`)) {
			t.Errorf("decode(%q) = %v", body, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"at":"2011-12-09T12:50:00Z","guest":"a\u0000","lines":[{"sku":"x","quantity":1,"price":1e400}]}`))
	f.Add([]byte("{\"\xff\":[{{"))
	f.Add([]byte(`{"lines":[{"sku":null}],"lines":1}`))
	f.Add([]byte(`{"lines":[{"sku":"\\\\u0000\\\"1e9","quantity":-9007199254740992}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var b basket
		err := decode(body, &b)
		if err == nil {
			if !json.Valid(body) || bytes.Contains(body, []byte{0}) {
				t.Fatalf("decode took %q", body)
			}
			if _, err := canonical(body); err != nil {
				t.Fatalf("decode took what canonical does not: %v", err)
			}
			if err := cmp.Or(checkText(body), v2.Unmarshal(body, new(basket), strictWithNulls)); err != nil {
				t.Fatalf("decode took %q, in which is wrong: %v", body, err)
			}
			return
		}
		var p *Problem
		if !errors.As(err, &p) || p.Status != 400 || p.Hint == "" {
			t.Fatalf("decode(%q) = %v, want a problem", body, err)
		}
		if rendered := p.body(); !json.Valid(rendered) {
			t.Fatalf("decode(%q) made a problem that is not JSON: %q", body, rendered)
		}
	})
}
