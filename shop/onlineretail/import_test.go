package onlineretail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/57528e99/recount/shop/sample"
)

func sampleBook(t testing.TB, c sample.Config) *Book {
	t.Helper()
	var file bytes.Buffer
	if err := sample.Generate(&file, c); err != nil {
		t.Fatal(err)
	}
	book, err := Read(&file)
	if err != nil {
		t.Fatal(err)
	}
	return book
}

// serve serves the handler until the test ends, on connections in memory: under
// testing/synctest no time passes while a request is under way, and none is
// needed to wait.
func serve(t testing.TB, h http.Handler) Config {
	t.Helper()
	l := &memoryListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: h}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	transport := newTransport(64)
	transport.DialContext = l.dial
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = server.Close()
		<-served
	})
	return Config{Server: "http://shop.test", Client: &http.Client{Transport: transport}}
}

type memoryListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *memoryListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-l.closed:
		return nil, errors.New("connection refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memoryListener) Close() error {
	close(l.closed)
	return nil
}

func (l *memoryListener) Addr() net.Addr { return &net.UnixAddr{Name: "memory"} }

func TestImportDoesEverythingOnceAndInItsOrder(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		synctest.Test(t, func(t *testing.T) {
			book := sampleBook(t, sample.Config{Seed: seed, Orders: 60, Articles: 40, MaxLines: 200})
			s := newFakeShop()
			c := serve(t, s)
			report, err := Import(t.Context(), c, book)
			if err != nil {
				t.Fatalf("Import: %v", err)
			}
			s.checkOutcome(t, book)
			if report.Done != report.Total || report.Replayed != 0 || report.Retries != 0 {
				t.Errorf("report = %+v, want all done and nothing repeated", report)
			}
			if want := fmt.Sprint("token-", report.Total); report.Token != want {
				t.Errorf("token = %s, want that of the last command, %s", report.Token, want)
			}
		})
	}
}

func TestImportRunsAsManyRequestsAsItMay(t *testing.T) {
	t.Parallel()
	for _, most := range []int{1, 8, 64} {
		synctest.Test(t, func(t *testing.T) {
			book := sampleBook(t, sample.Config{Orders: 70, MaxLines: 30})
			s := newFakeShop()
			// Time passes only when nobody can do anything else, so all requests
			// that can run at once do.
			s.latency = time.Millisecond
			c := serve(t, s)
			c.Concurrency = most
			if _, err := Import(t.Context(), c, book); err != nil {
				t.Fatalf("Import: %v", err)
			}
			s.checkOutcome(t, book)
			if s.mostAtOnce != most {
				t.Errorf("%d requests ran at once, want %d", s.mostAtOnce, most)
			}
		})
	}
}

// TestImportSurvivesFaults fails every third request in some way.
func TestImportSurvivesFaults(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		synctest.Test(t, func(t *testing.T) {
			book := sampleBook(t, sample.Config{Seed: seed, Orders: 30, Articles: 30, MaxLines: 60})
			s := newFakeShop()
			rng := rand.New(rand.NewPCG(seed, 0))
			s.fault = func(*http.Request) fault {
				if rng.IntN(3) > 0 {
					return noFault
				}
				return fault(1 + rng.IntN(int(gateway)))
			}
			report, err := Import(t.Context(), serve(t, s), book)
			if err != nil {
				t.Fatalf("Import: %v", err)
			}
			s.checkOutcome(t, book)
			if report.Done != report.Total || report.Replayed == 0 || report.Retries == 0 || report.Trouble == nil {
				t.Errorf("report = %+v, want all done, some repeated", report)
			}
		})
	}
}

func TestImportGoesOnWhereItWasCutOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		book := sampleBook(t, sample.Config{Orders: 40, Articles: 40, MaxLines: 100})
		s := newFakeShop()
		c := serve(t, s)
		stop := errors.New("stopped by the user")
		const rounds = 4
		for round := 1; ; round++ {
			ctx, cancel := context.WithCancelCause(t.Context())
			s.mu.Lock()
			begun, requests := len(s.done), 0
			s.fault = func(*http.Request) fault {
				requests++
				switch {
				case round < rounds && len(s.done)-begun >= 200:
					cancel(stop)
				case requests%7 == 0:
					return dropAfter
				}
				return noFault
			}
			s.mu.Unlock()
			report, err := Import(ctx, c, book)
			if err == nil {
				if round < rounds || report.Replayed < int64(begun) {
					t.Errorf("done in round %d with %d replayed, want %d rounds and the %d of before", round, report.Replayed, rounds, begun)
				}
				break
			}
			if !errors.Is(err, stop) || report.Done >= report.Total || !strings.Contains(err.Error(), fmt.Sprintf("after %d of %d", report.Done, report.Total)) {
				t.Fatalf("Import = %+v, %v; want that it was stopped, and how far it came", report, err)
			}
		}
		s.checkOutcome(t, book)
	})
}

func TestImportAgainChangesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		book := sampleBook(t, sample.Config{Orders: 20})
		s := newFakeShop()
		c := serve(t, s)
		var tokens [2]string
		for i := range tokens {
			report, err := Import(t.Context(), c, book)
			if err != nil {
				t.Fatalf("Import %d: %v", i, err)
			}
			if want := int64(i) * report.Total; report.Replayed != want {
				t.Errorf("import %d: %d replayed, want %d", i, report.Replayed, want)
			}
			tokens[i] = report.Token
		}
		s.checkOutcome(t, book)
		if tokens[0] != tokens[1] {
			t.Errorf("tokens are %v, want the same", tokens)
		}
	})
}

// TestImportWithForgottenKeysChangesNothing: without receipts, the stock would be
// received a second time.
func TestImportWithForgottenKeysChangesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		// The first invoice is an adjustment, which a server takes any number of times.
		book := mustRead(t, header+
			"70001,1001A,lost,-1,2024-03-01T08:26:00Z,0,,Norway\n"+
			"70002,1001A,MUG,6,2024-03-01T08:27:00Z,2.5,501,Norway\n"+
			"70003,1002A,JUG,6,2024-03-01T08:27:00Z,2.5,501,Norway\n")
		s := newFakeShop()
		c := serve(t, s)
		if _, err := Import(t.Context(), c, book); err != nil {
			t.Fatalf("Import: %v", err)
		}
		clear(s.keys)
		report, err := Import(t.Context(), c, book)
		var refused *RefusedError
		if !errors.As(err, &refused) || refused.Status != http.StatusConflict || report.Done != 0 {
			t.Fatalf("second Import = %+v, %v; want a refusal of the first command", report, err)
		}
		for _, want := range []string{"POST /v1/orders", "online-retail/70002/place", "order was placed already"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("error %q does not say %q", err, want)
			}
		}
		if hint := refused.Hint(); !strings.Contains(hint, "has forgotten the keys") || strings.Contains(hint, "Hint of") {
			t.Errorf("hint = %q, want that the keys are forgotten, and not to use another id", hint)
		}
		s.checkOutcome(t, book)
	})
}

func TestImportStopsAtARefusal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		book := sampleBook(t, sample.Config{Orders: 50})
		s := newFakeShop()
		c := serve(t, s)
		var after atomic.Int64
		s.fault = func(r *http.Request) fault {
			if after.Load() > 0 {
				after.Add(1)
			}
			if strings.HasSuffix(r.Header.Get("Idempotency-Key"), `/ship"`) && after.Load() == 0 {
				s.orders[strings.Split(r.URL.Path, "/")[3]] = s.orders["none"]
				after.Store(1)
			}
			return noFault
		}
		begun := time.Now()
		report, err := Import(t.Context(), c, book)
		var refused *RefusedError
		if !errors.As(err, &refused) || refused.Status != http.StatusUnprocessableEntity || refused.Replayed {
			t.Fatalf("Import = %v, want a refusal", err)
		}
		if !strings.Contains(err.Error(), "Title of rejected: order was never placed") || refused.Hint() != "Hint of rejected." {
			t.Errorf("error %q with hint %q, want what the server said", err, refused.Hint())
		}
		if after.Load() > 64+64 || time.Since(begun) > time.Second || report.Done == report.Total {
			t.Errorf("%d requests and %v after the refusal, want a prompt stop", after.Load(), time.Since(begun))
		}
		if _, err = Import(t.Context(), c, book); !errors.As(err, &refused) || !refused.Replayed || !strings.Contains(refused.Hint(), "repeats this refusal") {
			t.Errorf("second Import = %v, want the refusal repeated", err)
		}
	})
}

// TestImportIntoACheckout: the server has no route by which orders are confirmed.
func TestImportIntoACheckout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newFakeShop()
		c := serve(t, s)
		s.fault = func(r *http.Request) fault {
			if strings.HasSuffix(r.URL.Path, "/confirm") {
				return noRoute
			}
			return noFault
		}
		_, err := Import(t.Context(), c, sampleBook(t, sample.Config{Orders: 5}))
		var refused *RefusedError
		if !errors.As(err, &refused) || !strings.Contains(refused.Hint(), "--checkout none") {
			t.Fatalf("Import into a server with a checkout = %v, want that it needs one without", err)
		}
	})
}

func TestImportOfAnotherFileIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newFakeShop()
		c := serve(t, s)
		if _, err := Import(t.Context(), c, sampleBook(t, sample.Config{Seed: 1, Orders: 5})); err != nil {
			t.Fatalf("Import: %v", err)
		}
		_, err := Import(t.Context(), c, sampleBook(t, sample.Config{Seed: 2, Orders: 5}))
		var refused *RefusedError
		if !errors.As(err, &refused) || !strings.Contains(refused.Hint(), "into another database") {
			t.Fatalf("Import of another file = %v, want that its keys were used", err)
		}
	})
}

func TestImportReportsProgress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newFakeShop()
		c := serve(t, s)
		var reports []Report
		c.Progress = func(r Report) { reports = append(reports, r) }
		tries := 0
		s.fault = func(*http.Request) fault { // for the first five seconds or so
			if tries++; tries <= 3 {
				return busy
			}
			return noFault
		}
		report, err := Import(t.Context(), c, sampleBook(t, sample.Config{Orders: 5}))
		if err != nil {
			t.Fatalf("Import: %v", err)
		}
		if len(reports) < 5 || reports[0].Done != 0 || reports[0].Trouble == nil || reports[len(reports)-1].Done != report.Total {
			t.Errorf("reports = %+v, want one every second, and the last with all done", reports)
		}
		if report.Elapsed < 6*time.Second || report.Rate() <= 0 {
			t.Errorf("elapsed %v at %v/s, want 6s at least: three times what Retry-After says", report.Elapsed, report.Rate())
		}
	})
}

// TestImportTheRealFile takes the beginning of it; all of it takes a while.
func TestImportTheRealFile(t *testing.T) {
	t.Parallel()
	book := realBook(t)
	if count := countCommands(book.sequence(), openings(book.sequence())); count != 106_722 {
		t.Errorf("the book comes to %d commands, want 106722", count)
	}
	book.Invoices = book.Invoices[:60]
	s := newFakeShop()
	c := serve(t, s)
	report, err := Import(t.Context(), c, book)
	if err != nil {
		t.Fatalf("Import: %v", err)
	}
	s.checkOutcome(t, book)
	if differences, err := Verify(t.Context(), c, book, report.Token); err != nil || len(differences) > 0 {
		t.Errorf("Verify = %v, %v; want no differences", differences, err)
	}
}

// BenchmarkImport measures the client, and a server that does nothing, over TCP.
func BenchmarkImport(b *testing.B) {
	book := sampleBook(b, sample.Config{Orders: 300})
	answer := []byte(`{"stream":"stock-1001A","version":7,"position":12345}` + "\n")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = w.Write(answer)
	}))
	defer server.Close()
	var commands int64
	for b.Loop() {
		report, err := Import(b.Context(), Config{Server: server.URL}, book)
		if err != nil {
			b.Fatal(err)
		}
		commands += report.Done
	}
	b.ReportMetric(float64(commands)/b.Elapsed().Seconds(), "commands/s")
}
