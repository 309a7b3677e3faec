package logapi

import (
	"context"
	"slices"
	"sync"

	"github.com/57528e99/recount/eventstore"
)

const (
	// tailEvents and tailBytes bound what is kept of the end of the log for those who follow it.
	tailEvents, tailBytes = 8192, 16 << 20
	// pieceBytes bounds what is sent to a reader at once, unless one event has more.
	pieceBytes = 256 << 10
)

// line is an event of the log as it is sent, which is made once for all who follow the log.
type line struct {
	recorded eventstore.RecordedEvent
	frame    []byte
}

// tail has the end of the log for those who follow it. While there is one, one subscription to the log reads for all of them.
type tail struct {
	log     Log
	mu      sync.Mutex
	readers int
	current *following
}

// following is the end of the log from the time that somebody began to follow it until nobody did.
type following struct {
	cancel context.CancelFunc

	mu sync.Mutex
	// lines are the last events, without a gap, from first to through.
	lines          []line
	first, through int64
	bytes          int
	// moved is closed, and replaced, when there is more; err says that no more will come.
	moved chan struct{}
	err   error
}

// join returns the end of the log, whose head is known, as it is read for all; leave must follow.
func (t *tail) join(head int64) (f *following, leave func(), err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.readers >= maxStreams {
		return nil, nil, eventstore.ErrOverloaded
	}
	if t.current == nil || t.current.isOver() {
		ctx, cancel := context.WithCancel(context.Background())
		t.current = &following{cancel: cancel, first: head + 1, through: head, moved: make(chan struct{})}
		go t.current.read(ctx, t.log)
	}
	t.readers++
	f = t.current
	return f, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.readers--; t.readers == 0 {
			t.current.cancel()
			t.current = nil
		}
	}, nil
}

// read reads the log for all, until the context is done.
func (f *following) read(ctx context.Context, log Log) {
	defer f.cancel()
	for b, err := range log.Subscribe(ctx, eventstore.ReadOptions{From: f.first}) {
		var lines []line
		for i := range b.Events {
			lines = append(lines, line{b.Events[i], appendFrame(nil, &b.Events[i])})
		}
		f.add(lines, b.Next-1, err)
	}
}

func (f *following) add(lines []line, through int64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err = err; err == nil {
		f.through = through
	}
	for _, l := range lines {
		f.bytes += len(l.frame)
	}
	f.lines = append(f.lines, lines...)
	drop := 0
	for ; len(f.lines)-drop > tailEvents || f.bytes > tailBytes; drop++ {
		f.bytes -= len(f.lines[drop].frame)
		f.first = f.lines[drop].recorded.Position + 1
	}
	f.lines = slices.Delete(f.lines, 0, drop)
	close(f.moved)
	f.moved = make(chan struct{})
}

func (f *following) isOver() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err != nil
}

// from returns the events from a position on, as many as are a piece, and the last position that they reach to. With nothing new, moved is
// closed when there is. If the position is before what is kept isKept is false, and through the last before that.
func (f *following) from(position int64) (lines []line, through int64, moved <-chan struct{}, isKept bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if position < f.first {
		return nil, f.first - 1, nil, false, f.err
	}
	through = f.through
	at, _ := slices.BinarySearchFunc(f.lines, position, func(l line, p int64) int { return int(l.recorded.Position - p) })
	for bytes, i := 0, at; i < len(f.lines); i++ {
		if bytes += len(f.lines[i].frame); bytes > pieceBytes && i > at {
			through = f.lines[i-1].recorded.Position
			break
		}
		lines = append(lines, f.lines[i])
	}
	if through < position {
		err = f.err
	}
	return lines, through, f.moved, true, err
}
