package webhook

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/57528e99/recount/delivery"
)

// TestLookupsAsk: with the credentials of targets, and where those may connect to, and no further.
func TestLookupsAsk(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.Header.Get("X-Key") != "s3cret" || r.Header.Get("Accept") != "application/json" {
			t.Errorf("%s %s with %v", r.Method, r.URL, r.Header)
		}
		switch r.URL.EscapedPath() {
		case "/c/a%2Fb":
			_, _ = w.Write([]byte(`{"name":"Ann"}`))
		case "/long":
			_, _ = w.Write([]byte(strings.Repeat("1", MaxAnswer+1)))
		case "/away":
			http.Redirect(w, r, "/c/a%2Fb", http.StatusFound)
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	t.Setenv("RECOUNT_SECRET_LOOKUP", "s3cret")
	c := delivery.EnrichHTTP{Timeout: delivery.Duration(10 * time.Second), Headers: map[string]delivery.Secret{"X-Key": {Env: "RECOUNT_SECRET_LOOKUP"}}}
	for _, test := range []struct{ path, want, fails string }{
		{"/c/a%2Fb", `{"name":"Ann"}`, ""},
		{"/long", "", "more than 1048576 bytes"},
		{"/away", "", "redirects are not followed"},
		{"/none", "", "the target answered 404"},
	} {
		u, err := url.Parse(server.URL + test.path)
		if err != nil {
			t.Fatal(err)
		}
		for _, allow := range [][]netip.Prefix{prefixes("127.0.0.0/8"), nil} {
			l, err := NewLookup(c, allow)
			if err != nil {
				t.Fatal(err)
			}
			body, err := l.Get(t.Context(), u)
			l.Close()
			switch {
			case allow == nil:
				var why interface {
					Reason() (code, subject, schema string)
				}
				if !errors.As(err, &why) {
					t.Errorf("%s at an address that is not allowed: %q, %v", test.path, body, err)
				} else if code, _, _ := why.Reason(); code != ReasonAddressRefused {
					t.Errorf("%s at an address that is not allowed: %q, %v", test.path, body, err)
				}
			case string(body) != test.want || (err == nil) != (test.fails == "") || err != nil && !strings.Contains(err.Error(), test.fails):
				t.Errorf("%s: %q, %v, want %q, %q", test.path, body, err, test.want, test.fails)
			}
		}
	}
}
