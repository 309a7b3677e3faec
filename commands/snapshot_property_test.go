package commands

import (
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/57528e99/recount/eventstore"
)

// amounted is what Deposited was before its first change.
type amounted struct{ Amt int }

func newUpcastingCodec(t testing.TB) *eventstore.Codec {
	t.Helper()
	codec, err := eventstore.NewCodec(
		eventstore.TypeOf[deposited]("Deposited", 2, eventstore.Upcast(1, func(old amounted) (deposited, error) {
			return deposited{Amount: old.Amt}, nil
		})),
		eventstore.TypeOf[withdrawn]("Withdrawn", 1))
	if err != nil {
		t.Fatal(err)
	}
	return codec
}

// Whatever becomes of a stream, and whenever snapshots are taken: what loads is
// what a replay of the log gives, and what need not load is never wrong.
func TestSnapshotAndTailAreTheFullReplay(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		h := &history{T: t, store: newFaulty(), drawer: newDrawer(), codec: newUpcastingCodec(t)}
		rt.Repeat(map[string]func(*rapid.T){
			"append":   h.append,
			"delete":   h.delete,
			"truncate": h.truncate,
			"snapshot": h.snapshot,
			"damage":   h.damage,
			"":         h.check,
		})
	})
}

// history is a stream to which anything may happen, with its snapshot.
type history struct {
	*testing.T
	store  *faulty
	drawer *drawer
	codec  *eventstore.Codec
	// good is the version of a snapshot that was not damaged; -1: there is none.
	good int64
	// taken says that good was set.
	taken bool
}

const historic = "account-1"

func (h *history) handler(rt *rapid.T) *accounts {
	accounts, err := NewHandler[account, accountEvent](h.store, h.codec, Config{
		Category: "account", CacheSize: -1, Snapshots: SnapshotConfig{Store: h.drawer},
	})
	if err != nil {
		rt.Fatal(err)
	}
	return accounts
}

// append appends events, those of the old schema among them.
func (h *history) append(rt *rapid.T) {
	a := eventstore.StreamAppend{Stream: historic, Expected: eventstore.Any}
	for range rapid.IntRange(1, 4).Draw(rt, "events") {
		n := rapid.IntRange(1, 9).Draw(rt, "amount")
		a.Events = append(a.Events, rapid.SampledFrom([]eventstore.Event{
			{Type: "Deposited", Data: fmt.Appendf(nil, `{"Amt":%d}`, n)},
			{Type: "Deposited", SchemaVersion: 2, Data: fmt.Appendf(nil, `{"Amount":%d}`, n)},
			{Type: "Withdrawn", Data: fmt.Appendf(nil, `{"Amount":%d}`, n)},
		}).Draw(rt, "event"))
	}
	if _, err := h.store.Append(h.Context(), a, eventstore.AppendOptions{}); err != nil {
		rt.Fatal(err)
	}
}

func (h *history) delete(rt *rapid.T) {
	if _, err := h.store.DeleteStream(h.Context(), historic, eventstore.StreamExists); err != nil {
		rt.Skip("nothing to delete")
	}
}

func (h *history) truncate(rt *rapid.T) {
	m := eventstore.StreamMetadata{
		TruncateBefore: rapid.Int64Range(0, 12).Draw(rt, "before"),
		MaxCount:       rapid.Int64Range(0, 5).Draw(rt, "count"),
	}
	if err := h.store.SetStreamMetadata(h.Context(), historic, m); err != nil {
		rt.Fatal(err)
	}
}

// snapshot takes a snapshot, on top of the last one or without it.
func (h *history) snapshot(rt *rapid.T) {
	source := h.handler(rt).SnapshotSource()
	take := source.Snapshot
	if rapid.Bool().Draw(rt, "rebuild") {
		take = source.Rebuild
	}
	s, found, err := take(h.Context(), historic)
	if errors.Is(err, ErrTruncated) {
		rt.Skip("truncated")
	}
	if err != nil {
		rt.Fatal(err)
	}
	if found {
		h.drawer.kept["account/"+historic] = s
		h.good, h.taken = s.Version, true
	}
}

// damage does to the snapshot what must make it useless.
func (h *history) damage(rt *rapid.T) {
	if !h.taken {
		rt.Skip("nothing to damage")
	}
	signed := rapid.Bool().Draw(rt, "signed")
	h.drawer.change(historic, func(s *Snapshot) {
		switch rapid.IntRange(0, 3).Draw(rt, "damage") {
		case 0:
			s.State = s.State[:len(s.State)-1]
		case 1:
			s.SchemaVersion++
		case 2:
			s.Version += rapid.Int64Range(1, 5).Draw(rt, "ahead")
		case 3:
			s.EventID[3]++
		}
		if signed {
			s.Checksum = s.checksum()
		}
	})
	h.taken = false
}

// check compares what loads with a replay of the log.
func (h *history) check(rt *rapid.T) {
	want, first := h.replay(rt)
	state, version, err := h.handler(rt).Load(h.Context(), "1")
	switch {
	case errors.Is(err, ErrTruncated):
		if h.loads(rt, want.version, first) {
			rt.Fatalf("it does not load: %v", err)
		}
	case err != nil:
		rt.Fatal(err)
	case version != want.version || !same(state, want.state):
		rt.Fatalf("it loads as %+v at %d, the log says %+v at %d", state, version, want.state, want.version)
	case version >= 0 && !h.loads(rt, want.version, first):
		rt.Fatalf("it loads as %+v at %d, although nobody can know that", state, version)
	}
}

// loads reports whether the stream must load: all of its present life can be
// seen, or all that is behind a snapshot of this life.
func (h *history) loads(rt *rapid.T, version, first int64) bool {
	if version < 0 {
		return true
	}
	info, err := h.store.StreamInfo(h.Context(), historic)
	if err != nil {
		rt.Fatal(err)
	}
	shown := info.FirstShown()
	return shown <= first || h.taken && h.good >= first && h.good >= min(shown-1, version)
}

// replay folds the log, which hides nothing, and returns the version that the
// stream's present life began with.
func (h *history) replay(rt *rapid.T) (now versioned[account], first int64) {
	now = nothing[account]()
	for e, err := range h.store.ReadAll(h.Context(), eventstore.ReadOptions{}) {
		switch {
		case err != nil:
			rt.Fatal(err)
		case e.Stream != historic:
		case e.Type == eventstore.TypeDeleted:
			now, first = nothing[account](), e.Version+1
		default:
			v, err := h.codec.Decode(e.Event)
			if err != nil {
				rt.Fatal(err)
			}
			now.state, now.version = v.(accountEvent).Evolve(now.state), e.Version
		}
	}
	return now, first
}
