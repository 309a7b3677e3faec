package onlineretail

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	httpclient "github.com/57528e99/recount/httpapi/client"
)

const oneOrder = header + "70001,1001A,MUG,6,2024-03-01T08:26:00Z,2.5,501,Norway\n"

func TestImportWaitsAsLongAsItIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newFakeShop()
		faults := map[string][]fault{
			"online-retail/70001/place":         {busy, busy},             // 2s each
			"online-retail/70001/confirm":       {inProgress, inProgress}, // 1s each
			"online-retail/70001/reserve/1001A": {limited, gateway, limited, limited},
		}
		s.fault = func(r *http.Request) fault {
			key := strings.Trim(r.Header.Get("Idempotency-Key"), `"`)
			if n := len(s.attempts[key]); n <= len(faults[key]) {
				return faults[key][n-1]
			}
			return noFault
		}
		book := mustRead(t, oneOrder)
		if _, err := Import(t.Context(), serve(t, s), book); err != nil {
			t.Fatalf("Import: %v", err)
		}
		s.checkOutcome(t, book)
		for key, waits := range map[string][]time.Duration{
			"online-retail/70001/place":         {2 * time.Second, 2 * time.Second},
			"online-retail/70001/confirm":       {time.Second, time.Second},
			"online-retail/70001/reserve/1001A": {50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond},
		} {
			at := s.attempts[key]
			if len(at) != len(waits)+1 {
				t.Errorf("%s was sent %d times, want %d", key, len(at), len(waits)+1)
				continue
			}
			for i, wait := range waits {
				if got := at[i+1].Sub(at[i]); got < wait || got > wait*3/2 {
					t.Errorf("%s waited %v before attempt %d, want %v to half as much more", key, got, i+2, wait)
				}
			}
		}
	})
}

func TestImportGivesUp(t *testing.T) {
	t.Parallel()
	always := func(f fault) func(*http.Request) fault { return func(*http.Request) fault { return f } }
	onceThen := func(f fault) func(*http.Request) fault {
		first := true
		return func(*http.Request) fault {
			if first {
				first = false
				return noFault
			}
			return f
		}
	}
	for _, c := range []struct {
		name   string
		fault  func(*http.Request) fault
		within time.Duration
		want   string
	}{
		{"on a server that never answers", always(dropBefore), 10 * time.Second, "EOF"},
		{"on a server that is gone", onceThen(dropBefore), time.Minute, "EOF"},
		{"on a server that stays busy", always(busy), time.Minute, "503 Title of overloaded: too much to do"},
		{"on a proxy without a server", always(gateway), time.Minute, `502 Bad Gateway: "<html>bad gateway</html>\n"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newFakeShop()
				s.fault = c.fault
				begun := time.Now()
				report, err := Import(t.Context(), serve(t, s), mustRead(t, oneOrder))
				var gaveUp *GaveUpError
				if !errors.As(err, &gaveUp) || !strings.Contains(err.Error(), c.want) || !strings.Contains(gaveUp.Hint(), "goes on where it stopped") {
					t.Fatalf("Import = %v, want that it gave up with %s", err, c.want)
				}
				if took := time.Since(begun); took > c.within*5/4 || took < c.within/2 || report.Retries < 5 {
					t.Errorf("gave up after %v and %d retries, want about %v", took, report.Retries, c.within)
				}
			})
		})
	}
}

func TestImportStopsPromptlyWhileItWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newFakeShop()
		s.fault = func(*http.Request) fault { return busy }
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		_, err := Import(ctx, serve(t, s), mustRead(t, oneOrder))
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != time.Second {
			t.Errorf("Import = %v after %v, want that it stopped after 1s", err, time.Since(begun))
		}
	})
}

func TestImportGetsOverAnswersThatNeverCome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newFakeShop()
		var requests atomic.Int64
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if requests.Add(1) == 3 {
				// A server sees that its client is gone when it has read the body.
				_, _ = io.Copy(io.Discard, r.Body)
				<-r.Context().Done()
				return
			}
			s.ServeHTTP(w, r)
		})
		c := serve(t, h)
		c.RetryFor = 2 * attemptTimeout
		book := mustRead(t, oneOrder)
		report, err := Import(t.Context(), c, book)
		if err != nil || report.Retries != 1 || report.Elapsed < attemptTimeout {
			t.Fatalf("Import = %+v, %v; want one retry after %v", report, err, attemptTimeout)
		}
		s.checkOutcome(t, book)
	})
}

func TestImportIntoSomethingElse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
		want    string
	}{
		{"a web site", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
			`the server answers 200 "<html>", which is not the answer to a command`},
		{"a server that has moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
			"302 Found"},
		{"a server without the route", http.NotFound, "404 Not Found"},
		{"a server with a fault", func(w http.ResponseWriter, _ *http.Request) { problem(w, 500, "internal", "", "a fault") },
			"500 Title of internal: a fault"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			report, err := Import(t.Context(), serve(t, c.handler), mustRead(t, oneOrder))
			if err == nil || !strings.Contains(err.Error(), c.want) || report.Done != 0 || report.Retries != 0 {
				t.Errorf("Import = %+v, %v; want %s", report, err, c.want)
			}
		})
	}
}

func TestRetryAfterIsATimeOrSeconds(t *testing.T) {
	t.Parallel()
	now := time.Date(2024, 3, 1, 8, 26, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"":                              0,
		"3":                             3 * time.Second,
		"-3":                            0,
		"99999999999999999999":          0,
		"soon":                          0,
		"Fri, 01 Mar 2024 08:26:30 GMT": 30 * time.Second,
	} {
		a := answer{httpclient.Answer{Header: http.Header{"Retry-After": {value}}}}
		if got := a.retryAfter(now); got != want {
			t.Errorf("retryAfter of %q = %v, want %v", value, got, want)
		}
	}
}
