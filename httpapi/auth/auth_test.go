package auth_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/57528e99/recount/httpapi/auth"
	"github.com/57528e99/recount/security"
)

// TestLimited: a principal has as many requests a second as are permitted, whatever others send.
func TestLimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ask := auth.Limited(func(r *http.Request) (security.Principal, error) {
			if name := r.Header.Get("Name"); name != "" {
				return security.Principal{Name: name}, nil
			}
			return security.Principal{}, &security.Unauthenticated{Reason: security.ReasonMissing}
		}, 10)
		admitted := func(name string, requests int) (n int, after time.Duration) {
			for range requests {
				r := httptest.NewRequest("GET", "/", nil)
				r.Header.Set("Name", name)
				_, err := ask(r)
				var limited *security.Limited
				if errors.As(err, &limited) {
					after = limited.After
				} else if err == nil {
					n++
				}
			}
			return n, after
		}
		if n, after := admitted("ann", 25); n != 10 || after != 100*time.Millisecond {
			t.Errorf("of 25 requests at once %d are admitted, the next after %v", n, after)
		}
		if n, _ := admitted("bob", 5); n != 5 {
			t.Errorf("of 5 requests of another %d are admitted", n)
		}
		time.Sleep(500 * time.Millisecond)
		if n, _ := admitted("ann", 25); n != 5 {
			t.Errorf("half a second later %d are admitted", n)
		}
		time.Sleep(time.Hour)
		if n, _ := admitted("ann", 25); n != 10 {
			t.Errorf("an hour later %d are admitted", n)
		}
		if n, _ := admitted("", 100); n != 0 {
			t.Errorf("%d requests of nobody are admitted", n)
		}
	})
}
