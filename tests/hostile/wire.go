package hostile

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// patience is how long an answer may take. It is beyond what the server allows
// itself, so that running out of it is a fault.
const patience = 60 * time.Second

// field is a header as it is sent: names may repeat, and nothing is corrected.
type field struct{ name, value string }

// request is a request as it is sent.
type request struct {
	method, target string
	header         []field
	body           []byte
	chunked        bool
}

func (r *request) set(name, value string) { r.header = append(r.header, field{name, value}) }

func (r *request) get(name string) (value string, ok bool) {
	for _, f := range r.header {
		if http.CanonicalHeaderKey(f.name) == http.CanonicalHeaderKey(name) {
			return f.value, true
		}
	}
	return "", false
}

// bytes returns the request as HTTP/1.1.
func (r request) bytes(host string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", r.method, r.target, host)
	for _, f := range r.header {
		fmt.Fprintf(&b, "%s: %s\r\n", f.name, f.value)
	}
	switch {
	case r.chunked:
		b.WriteString("Transfer-Encoding: chunked\r\n\r\n")
		for rest := r.body; len(rest) > 0; {
			n := min(len(rest), 1+len(r.body)/3)
			fmt.Fprintf(&b, "%x\r\n%s\r\n", n, rest[:n])
			rest = rest[n:]
		}
		b.WriteString("0\r\n\r\n")
	case len(r.body) > 0 || r.method == "POST":
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(r.body), r.body)
	default:
		b.WriteString("\r\n")
	}
	return b.Bytes()
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// link is a connection to the server that is kept as long as the server keeps
// it.
type link struct {
	host   string
	conn   net.Conn
	reader *bufio.Reader
}

// do sends a request and reads its answer. There is no second try: a server
// that drops a connection without an answer is at fault.
func (l *link) do(ctx context.Context, r request) (answer, error) {
	if l.conn == nil {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", l.host)
		if err != nil {
			return answer{}, err
		}
		l.conn, l.reader = conn, bufio.NewReader(conn)
	}
	conn := l.conn
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	a, keep, err := l.exchange(r)
	if err != nil || !keep {
		l.close()
	}
	return a, err
}

func (l *link) exchange(r request) (a answer, keep bool, err error) {
	if err := l.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return a, false, err
	}
	// A server that answers early may stop reading, so what it said counts more
	// than whether it took everything.
	_, unsent := l.conn.Write(r.bytes(l.host))
	resp, err := readResponse(l.reader, r.method)
	if err != nil {
		if unsent != nil {
			err = unsent
		}
		return a, false, fmt.Errorf("there is no answer: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return a, false, fmt.Errorf("the answer is cut off after %d bytes: %w", len(body), err)
	}
	return answer{resp.StatusCode, resp.Header, body}, unsent == nil && !resp.Close, nil
}

// readResponse skips the interim ones.
func readResponse(r *bufio.Reader, method string) (*http.Response, error) {
	for {
		resp, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil || resp.StatusCode >= 200 {
			return resp, err
		}
	}
}

func (l *link) close() {
	if l.conn != nil {
		l.conn.Close()
		l.conn = nil
	}
}
