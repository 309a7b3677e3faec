package wire

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// rawLink is a connection on which no honest client would speak.
type rawLink struct {
	name string
	// pieces are sent one after another, with a moment between them. {get} and {post} stand for paths
	// of the index.
	pieces []string
	// hangUp closes the connection when they are sent, without waiting for an
	// answer.
	hangUp bool
}

const postHead = "POST {post} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"

// rawLinks are all of them. What is sent never makes anything.
var rawLinks = []rawLink{
	{"nothing", nil, true},
	{"no HTTP", []string{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"}, false},
	{"HTTP/0.9", []string{"GET /\r\n\r\n"}, false},
	{"HTTP/2 by force", []string{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"}, false},
	{"no host", []string{"GET / HTTP/1.1\r\n\r\n"}, false},
	{"two hosts", []string{"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"}, false},
	{"broken escape", []string{"GET /%zz HTTP/1.1\r\nHost: localhost\r\n\r\n"}, false},
	{"space in a name", []string{"GET / HTTP/1.1\r\nHost: localhost\r\nA b: c\r\n\r\n"}, false},
	{"NUL in a value", []string{"GET / HTTP/1.1\r\nHost: localhost\r\nA: \x00\r\n\r\n"}, false},
	{"long header", []string{"GET / HTTP/1.1\r\nHost: localhost\r\nA: " + strings.Repeat("a", 64<<10) + "\r\n\r\n"}, false},
	{"many headers", []string{"GET / HTTP/1.1\r\nHost: localhost\r\n" + strings.Repeat("A: b\r\n", 10_000) + "\r\n"}, false},
	{"long target", []string{"GET /" + strings.Repeat("a", 64<<10) + " HTTP/1.1\r\nHost: localhost\r\n\r\n"}, false},
	{"two lengths", []string{postHead + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}"}, false},
	{"negative length", []string{postHead + "Content-Length: -1\r\n\r\n"}, false},
	{"length and chunks", []string{postHead + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"}, false},
	{"broken chunk", []string{postHead + "Transfer-Encoding: chunked\r\n\r\nzz\r\n"}, false},
	{"unknown coding", []string{postHead + "Transfer-Encoding: gzip\r\n\r\n"}, false},
	{"asks before it sends too much", []string{postHead + "Expect: 100-continue\r\nContent-Length: 50000000\r\n\r\n"}, false},
	{"expects the impossible", []string{postHead + "Expect: miracles\r\nContent-Length: 0\r\n\r\n"}, false},
	{"OPTIONS *", []string{"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n"}, false},
	{"another host", []string{"GET {get} HTTP/1.1\r\nHost: example.org\r\n\r\n"}, false},
	{"CONNECT", []string{"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n"}, false},
	{"proxy request", []string{"GET http://localhost{get} HTTP/1.1\r\nHost: localhost\r\n\r\n"}, false},
	{"slow sender", []string{"GET /v1/no", "ne HTTP/1.1\r", "\nHost: localhost", "\r\n\r\n"}, false},
	{"slow body", []string{postHead + "Content-Length: 20\r\n\r\n", "{", `"lines"`, ":", "0}         "}, false},
	{"hangs up in the request line", []string{"GET /v1/no"}, true},
	{"hangs up in the header", []string{postHead}, true},
	{"hangs up in the body", []string{postHead + "Content-Length: 1000\r\n\r\n{\"id\":"}, true},
	{"hangs up before the answer", []string{"GET {get} HTTP/1.1\r\nHost: localhost\r\n\r\n"}, true},
	{"many at once", []string{strings.Repeat("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n", 50)}, false},
}

// rawPause is between pieces.
const rawPause = 20 * time.Millisecond

// send speaks on a connection of its own. The answer, if there is one, is in good
// order: a problem, or a plain refusal of net/http's, which comes before any
// handler.
func (r rawLink) send(ctx context.Context, host string, paths *strings.Replacer) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", host)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err := conn.SetDeadline(time.Now().Add(Patience)); err != nil {
		return err
	}
	for i, piece := range r.pieces {
		if i > 0 {
			time.Sleep(rawPause) // a slow sender is slow
		}
		if _, err := io.WriteString(conn, paths.Replace(piece)); err != nil {
			break // the server does not listen any more, but may have said why
		}
	}
	if r.hangUp {
		return nil
	}
	resp, err := readResponse(bufio.NewReader(conn), http.MethodGet)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
			return fmt.Errorf("the server neither answers nor hangs up: %w", err)
		}
		return nil
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("the answer is cut off: %w", err)
	}
	a := Answer{resp.StatusCode, resp.Header, body}
	if a.Header.Get("X-Request-Id") != "" {
		return Call{Request: Request{Method: http.MethodGet}}.Judge(a)
	}
	return plainRefusal(a)
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// plainRefusal checks an answer of net/http itself. 501 is for a transfer coding
// that it does not know, 505 for a version of HTTP.
func plainRefusal(a Answer) error {
	switch {
	case a.Status == http.StatusOK && len(a.Body) == 0: // OPTIONS *
	case a.Status >= 400 && a.Status < 500, a.Status == http.StatusNotImplemented, a.Status == http.StatusHTTPVersionNotSupported:
	default:
		return fmt.Errorf("the plain answer is %d", a.Status)
	}
	if len(a.Body) > 1000 || bytes.Contains(a.Body, []byte("goroutine")) {
		return fmt.Errorf("the plain answer is %s", Cut(a.Body))
	}
	return nil
}
