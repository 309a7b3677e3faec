package httpapi

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"time"
)

// drainFactor is how much more than MaxBody is read of a body that is too
// large: a client that is still sending does not see an answer.
const drainFactor = 8

// limitBodyTime gives the body a time to arrive, also where no handler reads
// it and net/http does. The server's ReadTimeout would not do: it cuts off
// handlers that take longer.
func (x *exchange) limitBodyTime() {
	if x.r.ContentLength != 0 {
		x.setReadDeadline(time.Now().Add(x.api.config.BodyTimeout))
	}
}

func (x *exchange) setReadDeadline(t time.Time) {
	// A recorder of a test has no deadline, and needs none.
	_ = http.NewResponseController(x.w).SetReadDeadline(t)
}

// readBody returns the body of a request that should be JSON. A request without
// a body has none and need not say what it would be.
func (x *exchange) readBody() ([]byte, error) {
	limit := x.api.config.MaxBody
	if x.r.ContentLength > limit && x.r.Header.Get("Expect") != "" {
		return nil, bodyTooLarge(limit) // not asked for, so not sent
	}
	body, err := io.ReadAll(io.LimitReader(x.r.Body, limit+1))
	if err != nil {
		return nil, bodyUnread(err)
	}
	if int64(len(body)) > limit {
		x.drain(limit)
		return nil, bodyTooLarge(limit)
	}
	x.setReadDeadline(time.Time{})
	if len(body) == 0 {
		return nil, nil
	}
	return body, x.checkMediaType()
}

func (x *exchange) drain(limit int64) {
	if _, err := io.CopyN(io.Discard, x.r.Body, drainFactor*limit); !errors.Is(err, io.EOF) {
		x.w.Header().Set("Connection", "close")
	}
}

func bodyTooLarge(limit int64) *Problem {
	return kindBodyTooLarge.Problem(fmt.Sprintf("The body has more than %d bytes.", limit))
}

func bodyUnread(err error) *Problem {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return kindBodyTimeout.Problem("The body did not arrive in time.").withCause(err)
	}
	return kindMalformedJSON.Problem("The body is cut off: the connection was closed, or its framing is wrong.").withCause(err)
}

func (x *exchange) checkMediaType() error {
	if encoding := x.r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return kindUnsupportedMediaType.Problem("The body is compressed with "+encoding+".").
			withHeader("Content-Encoding", "must not be given")
	}
	value := x.r.Header.Get("Content-Type")
	media, params, err := mime.ParseMediaType(value)
	charset := params["charset"]
	if err != nil || media != "application/json" || charset != "" && !strings.EqualFold(charset, "utf-8") {
		return kindUnsupportedMediaType.Problem(fmt.Sprintf("The Content-Type is %q.", sanitize(value))).
			withHeader("Content-Type", "must be application/json, in UTF-8")
	}
	return nil
}
