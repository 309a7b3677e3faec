package httpapi

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"time"

	"github.com/57528e99/recount/security"
)

// Streaming is implemented by answers of Read that are written piece by piece, for as long as there is more and the client takes it.
type Streaming interface {
	// ContentType is that of the answer.
	ContentType() string
	// Stream writes it. The context is done when the client is gone, and when the server stops: then the answer is to end. After an
	// error the connection is cut, so that the client sees that it is not all.
	Stream(ctx context.Context, to *Stream) error
	// Close is called once at the end, also where Stream was not.
	Close()
}

const (
	// streamWriteTimeout is how long a client may take nothing before it is cut off.
	streamWriteTimeout = 30 * time.Second
	// admittedFor is for how long who reads a stream is not asked for again.
	admittedFor = time.Second
)

// ErrCallerChanged is returned by Stream.Write and Stream.Check when who reads may not any more what they might.
var ErrCallerChanged = errors.New("the token does not permit any more what it did")

// Stream is an answer that is written piece by piece.
type Stream struct {
	x        *exchange
	control  *http.ResponseController
	admitted time.Time
}

// Write sends a piece to the client at once, which may take 30 seconds for it: a slow reader is waited for, then cut off.
func (s *Stream) Write(piece []byte) error {
	if err := s.Check(); err != nil {
		return err
	}
	return s.Last(piece)
}

// Last is Write for what tells a client why the answer ends, whoever it is by now.
func (s *Stream) Last(piece []byte) error {
	// A recorder of a test has no deadline, and needs none.
	_ = s.control.SetWriteDeadline(time.Now().Add(streamWriteTimeout))
	if _, err := s.x.w.Write(piece); err != nil {
		return err
	}
	if err := s.control.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// Check returns an error if who reads may not any more; it asks once in a second at most.
func (s *Stream) Check() error {
	ask := s.x.api.config.Authenticate
	if ask == nil || time.Since(s.admitted) < admittedFor {
		return nil
	}
	p, err := ask(s.x.r)
	s.admitted = time.Now()
	if limited := new(security.Limited); errors.As(err, &limited) { // who sends more requests than they may are known still
		return nil
	}
	if err == nil && !reflect.DeepEqual(p, s.x.caller.Principal) {
		err = ErrCallerChanged
	}
	return err
}

// writeStream answers with a stream. It returns when that has ended, and panics, for net/http to cut the connection, after an error.
func (x *exchange) writeStream(answer Streaming) error {
	defer answer.Close()
	h := x.w.Header()
	h.Set("Content-Type", answer.ContentType())
	h.Set("X-Accel-Buffering", "no") // a proxy that gathers pieces makes a stream late
	x.w.WriteHeader(http.StatusOK)
	if x.r.Method == http.MethodHead {
		return nil
	}
	ctx, cancel := context.WithCancel(x.r.Context())
	defer cancel()
	defer context.AfterFunc(x.api.stopping, cancel)()
	to := &Stream{x: x, control: http.NewResponseController(x.w), admitted: time.Now()}
	err := to.Last(nil) // the header, for who waits for it
	if err == nil {
		err = answer.Stream(ctx, to)
	}
	if err == nil {
		return nil
	}
	x.err = err
	x.log()
	panic(http.ErrAbortHandler)
}
