package httpapi_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/57528e99/recount/httpapi"
)

// TestHostileRequests sends what no honest client would, through a real
// connection, since net/http has its say there too. Every answer is a problem
// with a hint that blames the client, and nothing is written.
func TestHostileRequests(t *testing.T) {
	b := newBench(t, httpapi.Config{})
	server := httptest.NewServer(b)
	defer server.Close()

	const path = "/purses/a/move"
	const body = `{"amount":1}`
	deep := `{"amount":` + strings.Repeat("[", 50_000) + strings.Repeat("]", 50_000) + `}`
	for _, c := range []struct {
		name, target, body string
		headers            []string
		status             int
	}{
		{"2 MB body", path, `{"at":"` + long(2<<20) + `"}`, nil, 413},
		{"20 MB body", path, long(20 << 20), nil, 413},
		{"deep body", path, deep, nil, 400},
		{"no body", path, "", nil, 400},
		{"null", path, "null", nil, 400},
		{"huge number", path, `{"amount":1` + strings.Repeat("0", 100_000) + `}`, nil, 400},
		{"number beyond 2^53", path, `{"amount":9007199254740993}`, nil, 400},
		{"huge name", path, `{"` + long(500_000) + `":1}`, nil, 400},
		{"invalid UTF-8 name", path, "{\"\xff\xfe\":1}", nil, 400},
		{"HTML in a name", path, `{"<script>alert(1)</script>":1}`, nil, 400},
		{"form", path, "amount=1", []string{"Content-Type: application/x-www-form-urlencoded"}, 415},
		{"text", path, body, []string{"Content-Type: text/plain"}, 415},
		{"latin-1", path, body, []string{"Content-Type: application/json; charset=latin1"}, 415},
		{"broken content type", path, body, []string{"Content-Type: application/json; ;="}, 415},
		{"gzip", path, "\x1f\x8b", []string{"Content-Encoding: gzip"}, 415},
		{"slash in id", "/purses/a/b/move", body, nil, 404},
		{"empty id", "/purses//move", body, nil, 404},
		{"NUL in id", "/purses/a%00b/move", body, nil, 400},
		{"line feed in id", "/purses/a%0Ab/move", body, nil, 400},
		{"invalid UTF-8 in id", "/purses/%C3%28/move", body, nil, 400},
		{"long id", "/purses/" + long(513) + "/move", body, nil, 400},
		{"id that makes a long stream name", "/purses/" + long(512) + "/move", body, nil, 400},
		{"query on a command", path + "?x=1", body, nil, 400},
		{"empty key", path, body, []string{"Idempotency-Key: "}, 400},
		{"long key", path, body, []string{"Idempotency-Key: " + long(256)}, 400},
		{"two keys", path, body, []string{"Idempotency-Key: a", "Idempotency-Key: b"}, 400},
		{"UTF-8 key", path, body, []string{"Idempotency-Key: \"é\""}, 400},
		{"weak tag", path, body, []string{`If-Match: W/"1"`}, 400},
		{"bare tag", path, body, []string{`If-Match: 1`}, 400},
		{"two tags", path, body, []string{`If-Match: "1", "2"`}, 400},
		{"huge tag", path, body, []string{`If-Match: "` + strings.Repeat("9", 1000) + `"`}, 400},
		{"negative tag", path, body, []string{`If-Match: "-1"`}, 400},
		{"stale tag", path, body, []string{`If-Match: "41"`}, 412},
		{"tag of what must not be", path, body, []string{`If-None-Match: "1"`}, 400},
		{"both preconditions", path, body, []string{`If-Match: "1"`, `If-None-Match: *`}, 400},
		{"long correlation id", path, body, []string{"X-Correlation-Id: " + long(256)}, 400},
		{"time far away", path, `{"amount":1,"at":"99999-01-01T00:00:00Z"}`, nil, 400},
		{"time before time", path, `{"amount":1,"at":"0000-01-01T00:00:00Z"}`, nil, 400},
		{"overdraft", path, `{"amount":-9007199254740991}`, nil, 422},
		{"made-up route", "/v9/nothing", body, nil, 404},
		{"made-up method", "BREW " + path, body, nil, 405},
	} {
		t.Run(c.name, func(t *testing.T) {
			method, target := "POST", c.target
			if m, p, ok := strings.Cut(target, " "); ok {
				method, target = m, p
			}
			r := request(method, target, c.body, c.headers...)
			r.RequestURI, r.URL.Scheme, r.URL.Host = "", "http", server.Listener.Addr().String()
			resp, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				t.Fatalf("there is no answer: %v", err)
			}
			defer resp.Body.Close()
			p := readProblem(t, resp)
			if resp.StatusCode != c.status {
				t.Errorf("answer = %d %s: %s, want %d", resp.StatusCode, p.Code, p.Detail, c.status)
			}
		})
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	if n := len(b.events(t)); n != 0 {
		t.Errorf("there are %d events, want none", n)
	}
}

// TestHostileConnections sends bytes that http.Client would not.
func TestHostileConnections(t *testing.T) {
	b := newBench(t, httpapi.Config{MaxBody: 1000})
	server := httptest.NewServer(b)
	defer server.Close()
	head := "POST /purses/a/move HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
	for _, c := range []struct {
		name, bytes, code string
		closed            bool // the client sends no more
	}{
		{"cut off", head + "Content-Length: 100\r\n\r\n{\"amount\":", "malformed-json", true},
		{"broken chunk", head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", "malformed-json", false},
		{"asks before it sends too much", head + "Expect: 100-continue\r\nContent-Length: 5000\r\n\r\n", "body-too-large", false},
		{"chunks without end", head + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("400\r\n"+long(1024)+"\r\n", 20), "body-too-large", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, c.bytes); err != nil {
				t.Fatal(err)
			}
			if c.closed {
				if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
					t.Fatal(err)
				}
			}
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatalf("there is no answer: %v", err)
			}
			defer resp.Body.Close()
			if p := readProblem(t, resp); p.Code != c.code {
				t.Errorf("answer = %s: %s, want %s", p.Code, p.Detail, c.code)
			}
		})
	}
}

// FuzzCommand sends any body and headers: whatever comes, the answer is a
// success or a problem of the client.
func FuzzCommand(f *testing.F) {
	f.Add([]byte(`{"amount":1}`), "k", `"0"`, "wait=1")
	f.Add([]byte("{\"amount\":\"\xff\"}"), `"a\"`, `W/"0"`, "\x00")
	f.Fuzz(func(t *testing.T, body []byte, key, match, correlation string) {
		b := newBench(t, httpapi.Config{})
		r := httptest.NewRequest("POST", "/purses/a/move", bytes.NewReader(body))
		r.Header = http.Header{
			"Content-Type": {"application/json"}, "Idempotency-Key": {key},
			"If-Match": {match}, "X-Correlation-Id": {correlation},
		}
		w := httptest.NewRecorder()
		b.ServeHTTP(w, r)
		resp := w.Result()
		if resp.StatusCode == http.StatusOK {
			return
		}
		if p := readProblem(t, resp); p.Status >= 500 {
			t.Error(fmt.Sprint(p))
		}
	})
}
