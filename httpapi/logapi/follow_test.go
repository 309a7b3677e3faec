package logapi_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/memstore"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/httpapi/logapi"
	"github.com/57528e99/recount/security"
)

// follower reads server-sent events.
type follower struct {
	*testing.T
	body io.ReadCloser
	in   *bufio.Scanner
}

func follow(t *testing.T, url string, headers ...string) *follower {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if a.StatusCode != 200 || a.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%s = %d %v", url, a.StatusCode, a.Header)
	}
	f := &follower{t, a.Body, bufio.NewScanner(a.Body)}
	f.in.Buffer(nil, 1<<20)
	return f
}

// next returns the lines of the next event: without data it is a heartbeat.
func (f *follower) next() string {
	f.Helper()
	var all []string
	for f.in.Scan() {
		if f.in.Text() == "" {
			return strings.Join(all, " ")
		}
		all = append(all, f.in.Text())
	}
	return "over"
}

// event returns the next that has data.
func (f *follower) event() string {
	f.Helper()
	for {
		if e := f.next(); strings.Contains(e, "data: ") || e == "over" {
			return e
		}
	}
}

func (f *follower) want(begins string) {
	f.Helper()
	if e := f.event(); !strings.HasPrefix(e, begins) {
		f.Fatalf("the event is %s, want %s", e, begins)
	}
}

func TestTheLogIsFollowed(t *testing.T) {
	t.Parallel()
	everywhere(t, func(s *server) {
		web := httptest.NewServer(s.handler)
		defer web.Close()
		s.want(200, "", `POST /v1/streams/a-1 {"events":[{"type":"A","data":{ "n":1}},{"type":"B","data":[`+"\n"+`2]},{"type":"A"}]}`)
		all := follow(s.T, web.URL+"/v1/log")
		all.want(`id: 1 data: {"position":1,"stream":"a-1"`)
		all.want(`id: 2`)
		onlyB := follow(s.T, web.URL+"/v1/log?types=B&after=2")
		deep := follow(s.T, web.URL+"/v1/log?filter=%7B%22data%22:%7B%22n%22:%5B9%5D%7D%7D", "Last-Event-ID: 3")
		if e := onlyB.next(); e != "retry: 2000" {
			s.Errorf("it begins with %s", e)
		}
		if e := onlyB.next(); e != ": heartbeat id: 3" { // the third is no B, and need not be looked at again
			s.Errorf("a heartbeat is %s, want how far it has come", e)
		}
		s.want(200, "", `POST /v1/streams/a-1 {"events":[{"type":"B","data":{"n":9}},{"type":"C"}]}`)
		onlyB.want("id: 4 ")
		deep.want("id: 4 ")
		for _, want := range []string{"id: 3 ", "id: 4 ", "id: 5 "} {
			all.want(want)
		}
		for _, f := range []*follower{all, onlyB, deep} {
			f.body.Close()
		}

		w := s.want(200, "", "GET /v1/log?types=A,B&after=1", "Accept: application/x-ndjson")
		lines := strings.Split(strings.TrimSuffix(w.Body.String(), "\n"), "\n")
		if len(lines) != 3 || !strings.Contains(lines[0], `"data_base64":"WwoyXQ=="`) || !strings.HasPrefix(lines[2], `{"position":4,`) {
			s.Errorf("the lines are %q", lines)
		}
		s.want(400, `"header":"Last-Event-ID"`, "GET /v1/log", "Accept: text/event-stream", "Last-Event-ID: x")
		s.want(400, `"parameter":"after"`, "GET /v1/log?after=6", "Accept: text/event-stream")
	})
}

// TestNobodyMissesAnEvent, of readers that begin at other places while others append, and read at their own speed.
func TestNobodyMissesAnEvent(t *testing.T) {
	t.Parallel()
	everywhere(t, func(s *server) {
		const appends, perAppend, readers = 60, 20, 8
		web := httptest.NewServer(s.handler)
		defer web.Close()
		body := `{"events":[` + strings.Repeat(`{"type":"A","data":"`+strings.Repeat("x", 300)+`"},`, perAppend-1) + `{"type":"A"}]}`
		appendSome := func(n int) {
			for range n {
				s.want(200, "", "POST /v1/streams/a-1 "+body)
			}
		}
		appendSome(appends / 3)
		var followers sync.WaitGroup
		for i := range readers {
			f := follow(s.T, fmt.Sprintf("%s/v1/log?after=%d", web.URL, i*40))
			followers.Go(func() {
				defer f.body.Close()
				for position := i*40 + 1; position <= appends*perAppend; position++ {
					if e := f.event(); !strings.HasPrefix(e, fmt.Sprintf("id: %d data: {", position)) {
						s.Errorf("reader %d got %.100s, want %d", i, e, position)
						return
					}
				}
			})
		}
		appendSome(appends - appends/3)
		followers.Wait()
	})
}

// TestAStreamEndsWithAReason: the token is revoked, or the server stops.
func TestAStreamEndsWithAReason(t *testing.T) {
	t.Parallel()
	var isRevoked atomic.Bool
	a, err := httpapi.New(httpapi.Config{Problems: logapi.Problems(), Authenticate: func(r *http.Request) (security.Principal, error) {
		if isRevoked.Load() && r.Header.Get("Authorization") == "old" {
			return security.Principal{}, &security.Unauthenticated{Reason: security.ReasonMissing}
		}
		return security.Trusted("ann"), nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	logapi.Register(a, logapi.Config{Log: eventstoreOf(t)})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- a.Serve(ctx, ln, httpapi.ServeOptions{}) }()
	url := "http://" + ln.Addr().String() + "/v1/log"
	revoked, stopped := follow(t, url, "Authorization: old"), follow(t, url, "Authorization: new")
	revoked.want(`id: 1 `)
	isRevoked.Store(true)
	revoked.want(`event: end data: {"code":"unauthenticated"}`)
	if e := revoked.next(); e != "over" {
		t.Errorf("behind the end there is %s", e)
	}
	stopped.want(`id: 1 `)
	stop()
	stopped.want(`event: end data: {"code":"shutting-down"}`)
	if err := <-served; err != nil {
		t.Error(err)
	}
	http.DefaultClient.CloseIdleConnections()
}

// eventstoreOf returns a log with one event.
func eventstoreOf(t *testing.T) logapi.Log {
	store := memstore.New(memstore.Config{})
	if _, err := store.Append(t.Context(), eventstore.StreamAppend{Stream: "a", Expected: eventstore.Any, Events: []eventstore.Event{{Type: "A"}}}, eventstore.AppendOptions{}); err != nil {
		t.Fatal(err)
	}
	return store
}
