package wire

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

// Patience is how long an answer may take. It is beyond what the server allows
// itself, so that running out of it is a fault.
const Patience = 60 * time.Second

// field is a header as it is sent: names may repeat, and nothing is corrected.
type field struct{ name, value string }

// Request is a request as it is sent.
type Request struct {
	Method, Target string
	Header         []field
	Body           []byte
	Chunked        bool
}

// Set adds a header.
func (r *Request) Set(name, value string) { r.Header = append(r.Header, field{name, value}) }

// Get returns the first header of a name.
func (r *Request) Get(name string) (value string, ok bool) {
	for _, f := range r.Header {
		if http.CanonicalHeaderKey(f.name) == http.CanonicalHeaderKey(name) {
			return f.value, true
		}
	}
	return "", false
}

// bytes returns the request as HTTP/1.1.
func (r Request) bytes(host string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", r.Method, r.Target, host)
	for _, f := range r.Header {
		fmt.Fprintf(&b, "%s: %s\r\n", f.name, f.value)
	}
	switch {
	case r.Chunked:
		b.WriteString("Transfer-Encoding: chunked\r\n\r\n")
		for rest := r.Body; len(rest) > 0; {
			n := min(len(rest), 1+len(r.Body)/3)
			fmt.Fprintf(&b, "%x\r\n%s\r\n", n, rest[:n])
			rest = rest[n:]
		}
		b.WriteString("0\r\n\r\n")
	case len(r.Body) > 0 || r.Method == "POST":
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(r.Body), r.Body)
	default:
		b.WriteString("\r\n")
	}
	return b.Bytes()
}

// Answer is what came back.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Link is a connection to the server that is kept as long as the server keeps
// it.
type Link struct {
	// Host is the address of the server.
	Host   string
	conn   net.Conn
	reader *bufio.Reader
}

// Do sends a request and reads its answer. There is no second try: a server
// that drops a connection without an answer is at fault.
func (l *Link) Do(ctx context.Context, r Request) (Answer, error) {
	if l.conn == nil {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", l.Host)
		if err != nil {
			return Answer{}, err
		}
		l.conn, l.reader = conn, bufio.NewReader(conn)
	}
	conn := l.conn
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	a, keep, err := l.exchange(r)
	if err != nil || !keep {
		l.Close()
	}
	return a, err
}

func (l *Link) exchange(r Request) (a Answer, keep bool, err error) {
	if err := l.conn.SetDeadline(time.Now().Add(Patience)); err != nil {
		return a, false, err
	}
	// A server that answers early may stop reading, so what it said counts more
	// than whether it took everything.
	_, unsent := l.conn.Write(r.bytes(l.Host))
	resp, err := readResponse(l.reader, r.Method)
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
	return Answer{resp.StatusCode, resp.Header, body}, unsent == nil && !resp.Close, nil
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

// Close ends the connection.
func (l *Link) Close() {
	if l.conn != nil {
		l.conn.Close()
		l.conn = nil
	}
}
