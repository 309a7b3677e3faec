package pgstore_test

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"

	"github.com/57528e99/recount/eventstore"
)

// TestPagesAreBoundedByBytes reads large events, of which a reader that knows nothing of them yet
// asks for more than a page may hold.
func TestPagesAreBoundedByBytes(t *testing.T) {
	db := newLog(t)
	writer := open(t, db)
	const size, n = 1 << 20, 40
	note := []byte(fmt.Sprintf("%q", bytes.Repeat([]byte("n"), size-2)))
	for range n {
		a := happened("large-1", 0)
		a.Expected, a.Events = eventstore.Any, a.Events[:1]
		a.Events[0].Data = note
		mustAppend(t, writer, a)
	}
	held := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := held()
	s := open(t, db) // which has not seen the events
	for name, events := range map[string]func(func(eventstore.RecordedEvent, error) bool){
		"the log":    s.ReadAll(t.Context(), eventstore.ReadOptions{}),
		"the stream": s.ReadStream(t.Context(), "large-1", eventstore.ReadOptions{}),
	} {
		read := 0
		for _, err := range events {
			if err != nil {
				t.Fatal(err)
			}
			if read++; read == 1 || read == 12 {
				if more := held() - before; more > eventstore.DefaultPageBytes+8*size {
					t.Errorf("a page of %s holds %d bytes at its event %d, want about %d at most", name, more, read, eventstore.DefaultPageBytes)
				}
			}
		}
		if read != n {
			t.Errorf("%d events of %s were read, want %d", read, name, n)
		}
	}
	read := 0
	for b, err := range s.Subscribe(t.Context(), eventstore.ReadOptions{PageBytes: 3 * size}) {
		if err != nil {
			t.Fatal(err)
		}
		if len(b.Events) > 3 {
			t.Errorf("a batch has %d events of %d bytes, want 3 at most", len(b.Events), size)
		}
		if read += len(b.Events); read == n {
			break
		}
	}
}
