package cli

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestMailsAreForThisMachine where nobody is asked who wants to see them.
func TestMailsAreForThisMachine(t *testing.T) {
	t.Parallel()
	answer := func(status int) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
	}
	h := forThisMachine(func(http.Handler) http.Handler { return answer(200) })(answer(404))
	for peer, want := range map[string]int{"127.0.0.1:99": 200, "[::1]:99": 200, "[::ffff:127.0.0.1]:99": 200, "192.0.2.1:99": 404, "[2001:db8::1]:99": 404, "": 404, "@": 404} {
		r, w := httptest.NewRequest("GET", "/", nil), httptest.NewRecorder()
		r.RemoteAddr = peer
		if h.ServeHTTP(w, r); w.Code != want {
			t.Errorf("from %q: %d, want %d", peer, w.Code, want)
		}
	}
}
