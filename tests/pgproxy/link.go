package pgproxy

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
)

// link is one connection through the proxy.
type link struct {
	proxy          *Proxy
	client, server net.Conn
	// statements are the texts of the prepared statements.
	statements map[string]string
	// idle says that the server is in no transaction.
	idle atomic.Bool
	// cutAfter is set when the answer to a commit must not reach the client,
	// alone when the client is gone and the server must not notice.
	cutAfter, alone atomic.Bool
	// ended is closed when the server has nothing more to say.
	ended chan struct{}
}

// message types of the protocol, as far as they matter here.
const (
	typeParse    = 'P'
	typeBind     = 'B'
	typeDescribe = 'D'
	typeExecute  = 'E'
	typeClose    = 'C'
	typeSync     = 'S'
	typeQuery    = 'Q'
	typeComplete = 'C'
	typeReady    = 'Z'

	typeNotification = 'A'
)

var errCut = errors.New("connection was cut")

const (
	// maxMessage bounds what is read of a message; PostgreSQL allows 1 GiB.
	maxMessage = 1 << 30
	// maxTrusted is how much room a message gets because it says so. More comes
	// with its bytes.
	maxTrusted = 64 << 10
)

// readMessage reads one message: a type (0 for the first of a client) and its
// bytes as they are on the wire.
func readMessage(r *bufio.Reader, startup bool) (byte, []byte, error) {
	header := 5
	if startup {
		header = 4
	}
	head, err := r.Peek(header)
	if err != nil {
		return 0, nil, err
	}
	kind := byte(0)
	if !startup {
		kind = head[0]
	}
	size := int64(binary.BigEndian.Uint32(head[header-4:])) + int64(header-4)
	if size > maxMessage || size < int64(header) {
		return 0, nil, errCut
	}
	if size <= maxTrusted {
		message := make([]byte, size)
		_, err = io.ReadFull(r, message)
		return kind, message, err
	}
	message := bytes.NewBuffer(make([]byte, 0, maxTrusted))
	if n, err := message.ReadFrom(io.LimitReader(r, size)); err != nil || n < size {
		return 0, nil, cmp.Or(err, io.ErrUnexpectedEOF)
	}
	return kind, message.Bytes(), nil
}

// forward passes the client's messages on.
func (l *link) forward() {
	defer l.proxy.close(l.server)
	r := bufio.NewReader(l.client)
	startup := true
	// flight is what was read since the last Sync, and executes the statements in it.
	var flight []byte
	var executes []string
	for {
		kind, message, err := readMessage(r, startup)
		if err != nil {
			return
		}
		// pgx asks to cancel what it waited for. The cancel may come when the held
		// messages are with the server, and undo them.
		if startup && isCancel(message) && l.proxy.holding.Load() > 0 {
			return
		}
		startup = false
		flight = append(flight, message...)
		if sql := l.statement(kind, message); sql != "" {
			executes = append(executes, sql)
		}
		if l.commits(kind, executes) {
			// Whoever chooses to hold it may release it at once.
			released := l.proxy.released()
			switch l.proxy.choose() {
			case CutBefore:
				_, _ = l.server.Write(flight[:len(flight)-len(message)])
				l.proxy.close(l.client)
				return
			case CutAfter:
				l.cutAfter.Store(true)
			case Hold:
				l.hold(r, kind, flight, released)
				return
			}
		}
		// A flight is passed on as a whole, so that it can be held back.
		if !awaitsSync(kind) {
			if _, err := l.server.Write(flight); err != nil {
				return
			}
			flight, executes = flight[:0], executes[:0]
		}
	}
}

// isCancel reports whether the first message of a client is a request to cancel what
// another connection does.
func isCancel(message []byte) bool {
	const code = 1234<<16 | 5678
	return len(message) >= 8 && binary.BigEndian.Uint32(message[4:]) == code
}

// awaitsSync reports whether a message is followed by others before the client
// waits for an answer.
func awaitsSync(kind byte) bool {
	switch kind {
	case typeParse, typeBind, typeDescribe, typeExecute, typeClose:
		return true
	default:
		return false
	}
}

// hold reads the flight to its end, leaves the client, and hands the flight to
// the server when the proxy is told to. The server must not see the connection
// end before it has answered, or it would not commit.
func (l *link) hold(r *bufio.Reader, kind byte, flight []byte, released <-chan struct{}) {
	// A simple query has no Sync behind it.
	for kind != typeSync && kind != typeQuery {
		var message []byte
		var err error
		if kind, message, err = readMessage(r, false); err != nil {
			return
		}
		flight = append(flight, message...)
	}
	l.proxy.holding.Add(1)
	defer l.proxy.holding.Add(-1)
	l.alone.Store(true)
	l.proxy.close(l.client)
	<-released
	if _, err := l.server.Write(flight); err == nil {
		<-l.ended
	}
}

// backward passes the server's messages on.
func (l *link) backward() {
	defer close(l.ended)
	defer l.proxy.close(l.client)
	r := bufio.NewReaderSize(l.server, bufferSize)
	w := bufio.NewWriterSize(l.client, bufferSize)
	for {
		kind, message, err := readMessage(r, false)
		if err != nil || l.hides(kind, message) {
			return
		}
		if kind == typeReady {
			l.idle.Store(message[5] == 'I')
		}
		switch {
		case l.alone.Load():
			if kind == typeReady {
				return
			}
			continue
		case kind == typeNotification && l.proxy.deaf.Load():
			l.proxy.dropped.Add(1)
		default:
			if _, err := w.Write(message); err != nil {
				return
			}
		}
		// What comes next may take long: the client gets what there is.
		if r.Buffered() == 0 && w.Flush() != nil {
			return
		}
	}
}

// bufferSize is how much of an answer is passed on at once.
const bufferSize = 32 << 10

// hides reports whether a message is the answer to a commit that the client must
// not see.
func (l *link) hides(kind byte, message []byte) bool {
	return l.cutAfter.Load() && (kind == typeReady || kind == typeComplete && bytes.HasPrefix(message[5:], []byte("COMMIT\x00")))
}

// statement returns the text of the statement that a message executes, or readies for
// the Execute behind it; "" if it does not.
func (l *link) statement(kind byte, message []byte) string {
	switch kind {
	case typeQuery:
		sql, _ := cString(message[5:])
		return sql
	case typeParse:
		name, rest := cString(message[5:])
		l.statements[name], _ = cString(rest)
	case typeBind:
		_, rest := cString(message[5:]) // behind the portal's name
		name, _ := cString(rest)
		return l.statements[name]
	}
	return ""
}

// commits reports whether a message makes the server commit: a COMMIT, or the end of a
// flight of several statements, one of which locks rows, outside of a transaction.
func (l *link) commits(kind byte, executes []string) bool {
	if len(executes) == 0 {
		return false
	}
	last := executes[len(executes)-1]
	if kind == typeQuery { // which has all of them in one text
		executes = strings.Split(strings.TrimRight(last, "; "), ";")
		last = executes[len(executes)-1]
	}
	switch kind {
	case typeBind:
		return isCommitText(last)
	case typeQuery, typeSync:
		whole := len(executes) > 1 && l.idle.Load() && !strings.HasPrefix(executes[0], "BEGIN") &&
			slices.ContainsFunc(executes, func(sql string) bool { return strings.Contains(sql, "FOR UPDATE") })
		return whole || kind == typeQuery && isCommitText(last)
	}
	return false
}

func isCommitText(sql string) bool {
	return strings.EqualFold(strings.TrimRight(strings.TrimSpace(sql), "; "), "commit")
}

// cString returns the text up to the first zero byte, and what is behind that.
func cString(b []byte) (text string, rest []byte) {
	before, rest, _ := bytes.Cut(b, []byte{0})
	return string(before), rest
}
