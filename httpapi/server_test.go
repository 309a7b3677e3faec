package httpapi_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/57528e99/recount/httpapi"
)

// pipeListener is a listener whose connections are pipes, so that servers run
// on the clock of synctest.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (l *pipeListener) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, errors.New("connection refused")
	}
}

// served is a bench being served.
type served struct {
	*bench
	listener *pipeListener
	client   *http.Client
	stop     context.CancelFunc
	done     chan error // the result of Serve
}

func serve(t *testing.T, c httpapi.Config, o httpapi.ServeOptions) *served {
	t.Helper()
	s := &served{bench: newBench(t, c), listener: newPipeListener(), done: make(chan error, 1)}
	s.client = &http.Client{Transport: &http.Transport{DialContext: s.listener.dial, DisableKeepAlives: true}}
	var ctx context.Context
	ctx, s.stop = context.WithCancel(t.Context())
	go func() { s.done <- s.api.Serve(ctx, s.listener, o) }()
	return s
}

func (s *served) do(method, path, body string) (*http.Response, error) {
	r := request(method, "http://server"+path, body)
	r.RequestURI = ""
	return s.send(r)
}

// send returns the answer with all of its body.
func (s *served) send(r *http.Request) (*http.Response, error) {
	resp, err := s.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	resp.Body = io.NopCloser(bytes.NewReader(all))
	return resp, err
}

// block makes commands wait; the first channel tells that one has begun, the
// second lets it go on when closed.
func (s *served) block() (begun, release chan struct{}) {
	begun, release = make(chan struct{}), make(chan struct{})
	s.meanwhile = func() { begun <- struct{}{}; <-release }
	return begun, release
}

func TestStoppingFinishesWhatWasBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, httpapi.Config{}, httpapi.ServeOptions{DrainDelay: 10 * time.Second})
		begun, release := s.block()
		answer := make(chan *http.Response, 1)
		go func() {
			resp, err := s.do("POST", "/purses/a/move", `{"amount":5}`)
			if err != nil {
				t.Errorf("the command that was begun: %v", err)
			}
			answer <- resp
		}()
		<-begun

		s.stop()
		synctest.Wait()
		resp, err := s.do("GET", "/readyz", "")
		if err != nil {
			t.Fatalf("GET /readyz while draining: %v", err)
		}
		wantProblem(t, resp, 503, "not-ready")

		time.Sleep(11 * time.Second) // of the fake clock
		if _, err := s.do("GET", "/livez", ""); err == nil {
			t.Error("a new connection is taken after DrainDelay")
		}
		close(release)
		if resp := <-answer; resp.StatusCode != 200 {
			t.Errorf("the command that was begun: %s", text(t, resp))
		}
		if err := <-s.done; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if n := len(s.events(t)); n != 1 {
			t.Errorf("there are %d events, want 1", n)
		}
	})
}

func TestStoppingEndsWithGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, httpapi.Config{}, httpapi.ServeOptions{Grace: time.Minute})
		begun, release := s.block()
		cut := make(chan error, 1)
		go func() {
			_, err := s.do("POST", "/purses/a/move", `{"amount":5}`)
			cut <- err
		}()
		<-begun
		s.stop()
		if err := <-s.done; err == nil || !strings.Contains(err.Error(), "cut off") {
			t.Errorf("Serve: %v, want that a request was cut off", err)
		}
		if err := <-cut; err == nil {
			t.Error("the request that was cut off has an answer")
		}
		close(release)
	})
}

func TestCommandIsFinishedThoughClientHangsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, httpapi.Config{}, httpapi.ServeOptions{})
		begun, release := s.block()
		conn, err := s.listener.dial(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			_ = request("POST", "http://server/purses/a/move", `{"amount":5}`, "Idempotency-Key: k").Write(conn)
		}()
		<-begun
		conn.Close()
		synctest.Wait()
		close(release)
		s.stop()
		if err := <-s.done; err != nil {
			t.Errorf("Serve: %v", err)
		}
		s.meanwhile = nil
		resp := do(s.bench, "POST", "/purses/a/move", `{"amount":5}`, "Idempotency-Key: k")
		if resp.Header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("the retry was not replayed: %s", text(t, resp))
		}
	})
}

func TestSlowBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, httpapi.Config{BodyTimeout: 7 * time.Second}, httpapi.ServeOptions{})
		begun := time.Now()
		body, unfinished := io.Pipe()
		defer unfinished.Close()
		go func() { _, _ = unfinished.Write([]byte(`{"amount":`)) }()
		r, err := http.NewRequest("POST", "http://server/purses/a/move", body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		resp, err := s.send(r)
		if err != nil {
			t.Fatal(err)
		}
		wantProblem(t, resp, 408, "body-timeout")
		if took := time.Since(begun); took != 7*time.Second {
			t.Errorf("the answer took %v, want 7s", took)
		}
		s.stop()
		if err := <-s.done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}

func TestSlowCommandTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, httpapi.Config{Timeout: 4 * time.Second}, httpapi.ServeOptions{})
		begun, release := s.block()
		go func() {
			_, _ = s.do("POST", "/purses/a/move", `{"amount":5}`)
		}()
		<-begun
		// The second waits for its turn on the stream.
		resp, err := s.do("POST", "/purses/a/move", `{"amount":5}`)
		if err != nil {
			t.Fatal(err)
		}
		wantProblem(t, resp, 503, "timeout")
		close(release)
		s.stop()
		if err := <-s.done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}

func TestServeWithMistakes(t *testing.T) {
	a := newAPI(t, httpapi.Config{})
	httpapi.Read(a, "/{", httpapi.NoParams, func(context.Context, httpapi.ReadRequest[struct{}]) (int, error) { return 0, nil })
	l := newPipeListener()
	if err := a.Serve(t.Context(), l, httpapi.ServeOptions{}); err == nil {
		t.Error("Serve took a broken route")
	}
	if _, err := l.Accept(); err == nil {
		t.Error("the listener is still open")
	}
	if err := newAPI(t, httpapi.Config{}).Serve(t.Context(), l, httpapi.ServeOptions{}); err == nil {
		t.Error("Serve on a closed listener has no error")
	}
}

func TestHealth(t *testing.T) {
	a := newAPI(t, httpapi.Config{})
	var broken error
	a.AddCheck("database", func(ctx context.Context) error {
		if _, ok := ctx.Deadline(); !ok {
			t.Error("the check has no deadline")
		}
		return broken
	})
	h := handlerOf(t, a)
	for target, want := range map[string]string{
		"/livez":               `{"status":"ok"}`,
		"/readyz":              `{"status":"ok"}`,
		"/readyz?verbose":      `{"status":"ok","checks":[{"name":"serving","ok":true},{"name":"database","ok":true}]}`,
		"/readyz?verbose=true": `{"status":"ok","checks":[{"name":"serving","ok":true},{"name":"database","ok":true}]}`,
	} {
		if resp := do(h, "GET", target, ""); resp.StatusCode != 200 || text(t, resp) != want+"\n" {
			t.Errorf("GET %s = %d, want 200 %s", target, resp.StatusCode, want)
		}
	}
	broken = errors.New("it is gone")
	if p := wantProblem(t, do(h, "GET", "/readyz", ""), 503, "not-ready"); !strings.Contains(p.Detail, "database") {
		t.Errorf("detail = %q, want the check's name", p.Detail)
	}
	resp := do(h, "GET", "/readyz?verbose", "")
	if got, want := text(t, resp), `{"status":"not ready","checks":[{"name":"serving","ok":true},{"name":"database","ok":false,"error":"it is gone"}]}`+"\n"; resp.StatusCode != 503 || got != want {
		t.Errorf("GET /readyz?verbose = %d %s, want 503 %s", resp.StatusCode, got, want)
	}
	if resp := do(h, "GET", "/livez", ""); resp.StatusCode != 200 {
		t.Errorf("GET /livez = %d while a check fails", resp.StatusCode)
	}
	wantProblem(t, do(h, "GET", "/readyz?verbose=no", ""), 400, "invalid-parameter")
	wantProblem(t, do(h, "GET", "/livez?verbose", ""), 400, "invalid-parameter")
}
