package cli

import (
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestDevIsReachedByItsOwnNames: no page of another site has its name lead here.
func TestDevIsReachedByItsOwnNames(t *testing.T) {
	t.Parallel()
	reached := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	for host, want := range map[string]int{
		"localhost:8080": 200, "127.0.0.1:8080": 200, "[::1]:8080": 200, "[::1]": 200, "shop.localhost": 200, "LOCALHOST": 200,
		"evil.example:8080": 421, "127.0.0.1.evil.example": 421, "localhost.evil.example": 421, "192.0.2.1:8080": 421, "": 421,
	} {
		r, w := httptest.NewRequest("GET", "/v1/orders", nil), httptest.NewRecorder()
		r.Host = host
		loopbackOnly(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080})(reached).ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("Host %q = %d, want %d", host, w.Code, want)
		}
		w = httptest.NewRecorder()
		if loopbackOnly(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 8080})(reached).ServeHTTP(w, r); w.Code != 200 {
			t.Errorf("Host %q of a server for others = %d", host, w.Code)
		}
	}
}
