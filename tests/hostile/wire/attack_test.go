package wire

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/57528e99/recount/httpapi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// paint is a body of a route that package wire has never heard of.
type paint struct {
	Color string    `json:"color"`
	Coats int64     `json:"coats"`
	At    time.Time `json:"at"`
}

// TestARouteIsAttackedByWhatTheIndexSays: no word about it is needed to find what is wrong with it.
func TestARouteIsAttackedByWhatTheIndexSays(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		paint func(paint) error
		want  string // part of the failure; empty: there is none
	}{
		"in good order": {func(paint) error { return nil }, ""},
		"fails":         {func(p paint) error { return errors.New("no more paint") }, "a fault of the server"},
		"panics":        {func(p paint) error { return []error{nil}[p.Coats%2] }, "a fault of the server"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api, err := httpapi.New(httpapi.Config{})
			if err != nil {
				t.Fatal(err)
			}
			httpapi.Action(api, "POST", "/v1/walls/{id}/paint", httpapi.ActionOptions[string]{},
				func(_ context.Context, in httpapi.ActionRequest[paint]) (string, error) {
					return "painted", c.paint(in.Body)
				})
			handler, err := api.Handler()
			if err != nil {
				t.Fatal(err)
			}
			server := httptest.NewServer(handler)
			defer server.Close()
			told := make(chan *Failure, 1)
			a, err := NewAttack([2]string{server.URL, server.URL}, 1, 400, func(f *Failure) { told <- f })
			if err != nil {
				t.Fatal(err)
			}
			w := a.Worker(0, &Luck{Rng: NewRand(1, 1), Name: "w"})
			routes, err := w.Index(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			err = w.Work(t.Context(), routes)
			var failure *Failure
			switch {
			case c.want == "" && err != nil:
				t.Errorf("what is wrong with it is %v", err)
			case c.want == "" && a.Attacked["POST /v1/walls/{id}/paint"] < 20:
				t.Errorf("it was attacked %d times", a.Attacked["POST /v1/walls/{id}/paint"])
			case c.want != "" && (!errors.As(err, &failure) || !strings.Contains(err.Error(), c.want) || !strings.Contains(failure.Curl, "/v1/walls/") || <-told != failure):
				t.Errorf("what is wrong with it is %v, want %q", err, c.want)
			}
		})
	}
}
