package httpapi_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/57528e99/recount/httpapi"
)

// TestAServerIsReachedByItsOwnNames: no page of another site has its name lead here.
func TestAServerIsReachedByItsOwnNames(t *testing.T) {
	t.Parallel()
	get := func(listens net.IP, host string) int {
		a, err := httpapi.New(httpapi.Config{Host: httpapi.OwnHosts(&net.TCPAddr{IP: listens, Port: 8080}, "shop.example:443")})
		if err != nil {
			t.Fatal(err)
		}
		r, w := httptest.NewRequest("GET", "/livez", nil), httptest.NewRecorder()
		r.Host = host
		a.ServeHTTP(w, r)
		return w.Code
	}
	for host, want := range map[string]int{
		"localhost:8080": 200, "127.0.0.1:8080": 200, "[::1]:8080": 200, "[::1]": 200, "shop.localhost": 200, "LOCALHOST": 200,
		"shop.example": 200, "Shop.example.:443": 200, "eu.shop.example": 421,
		"evil.example:8080": 421, "127.0.0.1.evil.example": 421, "localhost.evil.example": 421, "192.0.2.1:8080": 421, ".": 421, "": 200,
	} {
		if got := get(net.IPv4(127, 0, 0, 1), host); got != want {
			t.Errorf("Host %q = %d, want %d", host, got, want)
		}
		if got := get(net.IPv4(192, 0, 2, 1), host); got != http.StatusOK {
			t.Errorf("Host %q of a server for others = %d", host, got)
		}
	}
}
