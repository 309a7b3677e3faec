package httpapi

import (
	"bytes"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// FuzzParams reads a query: what is taken is within the bounds that the methods
// of Params promise, and nothing unknown goes through.
func FuzzParams(f *testing.F) {
	f.Add("text=a&n=3&day=2011-12-09&flag&one=b&limit=7")
	f.Add("text=%zz&n=1;2")
	f.Add("=&n=9223372036854775808&day=0001-01-01&flag=false&limit=0")
	f.Fuzz(func(t *testing.T, query string) {
		p := newParams(query)
		text, n, day, limit := p.Text("text"), p.Int("n", 5, -10, 10), p.Day("day"), p.Limit(10, 100)
		one := p.OneOf("one", "", "a", "b")
		p.Flag("flag")
		if err := p.err(); err != nil {
			if body := err.(*Problem).body(); len(err.(*Problem).Errors) == 0 && !bytes.Contains(body, []byte("query part")) && !bytes.Contains(body, []byte("without a name")) {
				t.Errorf("%q: %s names no parameter", query, body)
			}
			return
		}
		values, err := url.ParseQuery(query)
		if err != nil || len(text) > maxParamBytes || n < -10 || n > 10 || limit < 1 || limit > 100 || !strings.Contains("ab", one) {
			t.Errorf("%q is taken as %q, %d, %q, %d (%v)", query, text, n, one, limit, err)
		}
		if values.Has("day") && values.Get("day") != day.Format(time.DateOnly) {
			t.Errorf("%q is taken as %v", values.Get("day"), day)
		}
		for name, given := range values {
			if !strings.Contains(" text n day limit one flag ", " "+name+" ") || len(given) != 1 {
				t.Errorf("%q is taken though it has %q %d times", query, name, len(given))
			}
		}
	})
}

func FuzzTime(f *testing.F) {
	for _, text := range []string{`"2011-12-09T12:50:00.1234567+01:00"`, `"9999-12-31T23:59:59-01:00"`, `"0001-01-01T00:00:00Z"`, "1", `"\u0030"`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		if !jsontext.Value(value).IsValid() {
			return // the decoder passes nothing else on
		}
		var read Time
		if read.UnmarshalJSON(value) != nil {
			return
		}
		at := read.Or(time.Now())
		text := at.Format(time.RFC3339Nano)
		var back Time
		if err := back.UnmarshalJSON([]byte(`"` + text + `"`)); err != nil || back != read {
			t.Errorf("%s is read as %s, and that as %v, %v", value, text, back, err)
		}
		if at.Location() != time.UTC || at.Nanosecond()%1000 != 0 || at.IsZero() {
			t.Errorf("%s is read as %v, want microseconds in UTC", value, at)
		}
	})
}

// FuzzTarget asks for any path and query.
func FuzzTarget(f *testing.F) {
	a, err := New(Config{})
	if err != nil {
		f.Fatal(err)
	}
	h, err := a.Handler()
	if err != nil {
		f.Fatal(err)
	}
	f.Add("GET", "/problems/%2e%2e?x=%zz")
	f.Add("HEAD", "//livez/../x")
	f.Add("BREW", "/problems/\u00e9%00")
	f.Fuzz(func(t *testing.T, method, target string) {
		u, err := url.ParseRequestURI("/" + target)
		if err != nil {
			return // net/http passes nothing else on
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.Method, r.URL, r.RequestURI = method, u, "/"+target
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code >= 500 || w.Code >= 400 && !jsontext.Value(w.Body.Bytes()).IsValid() {
			t.Errorf("%q %q = %d %s", method, target, w.Code, w.Body)
		}
	})
}
