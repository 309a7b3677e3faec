package logapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"mime"
	"strconv"
	"strings"
	"time"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/security"
)

const (
	ofLines, ofEvents = "application/x-ndjson", "text/event-stream"
	// maxStreams is how many may follow the log at once.
	maxStreams = 1000
	// checkEvery is how often it is asked whether who follows the log still may.
	checkEvery = time.Second
	// opening lets browsers connect again after two seconds.
	opening = "retry: 2000\n\n"
)

// wantsStream returns the type of a stream that the client accepts; "": it wants a page.
func wantsStream(accept string) string {
	for _, kind := range []string{ofEvents, ofLines} {
		for part := range strings.SplitSeq(accept, ",") {
			said, parameters, err := mime.ParseMediaType(part)
			quality, noNumber := strconv.ParseFloat(parameters["q"], 64)
			if err == nil && said == kind && (noNumber != nil || quality > 0) {
				return kind
			}
		}
	}
	return ""
}

// appendLine appends an event in a line of its own.
func appendLine(to []byte, e *eventstore.RecordedEvent) []byte {
	isLine := func(b []byte) bool { return !bytes.ContainsAny(b, "\r\n") && httpapi.Embeds(b) }
	return append(appendEvent(to, e, isLine), '\n')
}

// appendFrame appends an event as one of server-sent events.
func appendFrame(to []byte, e *eventstore.RecordedEvent) []byte {
	to = strconv.AppendInt(append(to, "id: "...), e.Position, 10)
	return append(appendLine(append(to, "\ndata: "...), e), '\n')
}

// stream is the events of the log that a query picks, piece by piece.
type stream struct {
	*routes
	logQuery
	to *httpapi.Stream
	// next is the position to go on with.
	next int64
}

// heartbeat says how far was looked. The position goes along, for who connects again after a long time in which nothing was picked.
func (s *stream) heartbeat() []byte { return fmt.Appendf(nil, ": heartbeat\nid: %d\n\n", s.next-1) }

// fromStore sends what there is up to a position, which the log has reached, with a heartbeat after so long without; 0: with none.
func (s *stream) fromStore(ctx context.Context, upTo int64, beat time.Duration, format func([]byte, *eventstore.RecordedEvent) []byte) error {
	if s.next > upTo {
		return nil
	}
	said := time.Now()
	for b, err := range s.Log.Subscribe(ctx, eventstore.ReadOptions{From: s.next, Filter: s.filter, PageBytes: pieceBytes}) {
		if err != nil {
			return err
		}
		var piece []byte
		for i := range b.Events {
			if e := &b.Events[i]; e.Position <= upTo && s.takes(e) {
				piece = format(piece, e)
			}
		}
		s.next = min(b.Next, upTo+1)
		switch {
		case len(piece) > 0:
			err, said = s.to.Write(piece), time.Now()
		case beat > 0 && time.Since(said) >= beat: // a filter that picks nothing takes long to come to the end
			err, said = s.to.Write(s.heartbeat()), time.Now()
		default:
			err = s.to.Check()
		}
		if err != nil || s.next > upTo {
			return err
		}
	}
	return nil
}

// lines is the log from a position to the end that it has, an event on each line.
type lines struct {
	stream
	head int64
}

// ContentType implements httpapi.Streaming.
func (lines) ContentType() string { return ofLines }

// Close implements httpapi.Streaming.
func (lines) Close() {}

// Stream implements httpapi.Streaming. To end before the end, as the server stops, is an error.
func (l lines) Stream(ctx context.Context, to *httpapi.Stream) error {
	l.to = to
	return l.fromStore(ctx, l.head, 0, appendLine)
}

// events is the log from a position on, and what is appended, as server-sent events.
type events struct {
	stream
	tail  *following
	leave func()
}

// ContentType implements httpapi.Streaming.
func (events) ContentType() string { return ofEvents }

// Close implements httpapi.Streaming.
func (s events) Close() { s.leave() }

// Stream implements httpapi.Streaming. The last event of a stream that the server ends is end, with the reason.
func (s events) Stream(ctx context.Context, to *httpapi.Stream) error {
	s.to = to
	err := to.Write([]byte(opening))
	if err == nil {
		err = s.follow(ctx)
	}
	code := reasonOf(err)
	if ctx.Err() != nil {
		code, err = "shutting-down", nil // or the client is gone, and gets nothing
	}
	_ = to.Last(fmt.Appendf(nil, "event: end\ndata: {\"code\":%q}\n\n", code))
	return err
}

// reasonOf is the code of why a stream ends, as problems have them.
func reasonOf(err error) string {
	var unknown *security.Unauthenticated
	switch {
	case errors.Is(err, httpapi.ErrCallerChanged), errors.As(err, &unknown):
		return "unauthenticated"
	case errors.Is(err, eventstore.ErrLogChanged):
		return "log-changed"
	}
	return "unavailable"
}

func (s *events) follow(ctx context.Context) error {
	check := time.NewTicker(checkEvery)
	defer check.Stop()
	said := time.Now()
	for {
		lines, through, moved, isKept, err := s.tail.from(s.next)
		switch {
		case err != nil:
			return err
		case !isKept:
			if err := s.fromStore(ctx, through, s.Heartbeat, appendFrame); err != nil {
				return err
			}
			said = time.Now()
			continue
		}
		var piece []byte
		for i := range lines {
			if s.filter.Match(lines[i].recorded.Type, lines[i].recorded.Stream) && s.takes(&lines[i].recorded) {
				piece = append(piece, lines[i].frame...)
			}
		}
		isNew := through >= s.next
		s.next = max(s.next, through+1)
		if len(piece) > 0 {
			if err := s.to.Write(piece); err != nil {
				return err
			}
			said = time.Now()
		}
		if isNew {
			continue
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		case <-check.C:
			if err := s.to.Check(); err != nil {
				return err
			}
		}
		if time.Since(said) >= s.Heartbeat {
			if err := s.to.Write(s.heartbeat()); err != nil {
				return err
			}
			said = time.Now()
		}
	}
}
