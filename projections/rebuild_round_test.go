package projections

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/operations"
)

// countedReader counts the events that are read from a log.
type countedReader struct {
	eventstore.Reader
	events atomic.Int64
}

func (c *countedReader) ReadAll(ctx context.Context, o eventstore.ReadOptions) iter.Seq2[eventstore.RecordedEvent, error] {
	return func(yield func(eventstore.RecordedEvent, error) bool) {
		for e, err := range c.Reader.ReadAll(ctx, o) {
			if c.events.Add(1); !yield(e, err) {
				return
			}
		}
	}
}

// TestRebuildsReadTheLogTogether: three folds, in much memory and in little, of which one fails at
// an event that the others can apply.
func TestRebuildsReadTheLogTogether(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.fill(300)
	bad := b.append("account-1", deposited{Amount: 1, Note: "refuse"})
	for _, o := range []operations.Options{{}, {Workers: 2, MemoryBytes: operations.MinMemory, Verify: true}} {
		log := &countedReader{Reader: b.store}
		c := b.config()
		c.Store = log
		first, second := newTotals("first"), newTotals("second")
		r, err := NewRunner(c, first, newAccounts(1), second)
		if err != nil {
			t.Fatal(err)
		}
		var requests []operations.Request
		for _, name := range []string{"first", "accounts", "second", "unknown"} {
			requests = append(requests, operations.Request{Kind: Rebuild, Subject: name, Options: o, Actor: "test"})
		}
		ended, errs := r.RunAll(t.Context(), requests, nil)
		for _, i := range []int{0, 2} {
			if errs[i] != nil || ended[i].State != operations.Done {
				t.Errorf("the rebuild of %s = %+v, %v, want it done", requests[i].Subject, ended[i], errs[i])
			}
			if v := b.verify(r, requests[i].Subject); !v.OK() || v.Rows != 300 {
				t.Errorf("verify = %+v, want 300 rows that are right", v)
			}
		}
		var failed *operations.EndedError
		if !errors.As(errs[1], &failed) || !strings.Contains(failed.Operation.Error, fmt.Sprintf("position %d", bad.Position)) {
			t.Errorf("the rebuild of accounts = %v, want it failed at position %d", errs[1], bad.Position)
		}
		if !errors.Is(errs[3], ErrNotFound) {
			t.Errorf("the rebuild of a projection that there is not = %v, want ErrNotFound", errs[3])
		}
		// Once for all, once up to the bad event, and the deposits for each verification.
		if most := 2*bad.Position + 2*301 + 50; o.MemoryBytes == 0 && log.events.Load() > most {
			t.Errorf("%d events were read for three rebuilds and two verifications, want %d at most", log.events.Load(), most)
		}
	}
}

// TestTwoProcessesRebuildEverything at once, each beginning with what the other ends with: neither
// waits for what the other has.
func TestTwoProcessesRebuildEverything(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.fill(100)
	names := []string{"first", "second", "third", "fourth"}
	var all errgroup.Group
	for range 2 {
		var folds []Projection
		var requests []operations.Request
		for _, name := range names {
			folds = append(folds, newTotals(name))
			requests = append(requests, operations.Request{Kind: Rebuild, Subject: name, Actor: "test"})
		}
		slices.Reverse(names)
		r, err := NewRunner(b.config(), folds...)
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() error {
			_, errs := r.RunAll(t.Context(), requests, nil)
			return errors.Join(errs...)
		})
	}
	if err := all.Wait(); err != nil {
		t.Error(err)
	}
}

// largeLog is a log of large events that are made when they are read. At some of them it looks how
// much memory is held.
type largeLog struct {
	eventstore.Reader
	events, size int
	held         *int64
}

func (l largeLog) ReadAll(context.Context, eventstore.ReadOptions) iter.Seq2[eventstore.RecordedEvent, error] {
	return func(yield func(eventstore.RecordedEvent, error) bool) {
		for n := range l.events {
			e := eventstore.RecordedEvent{Stream: fmt.Sprintf("account-%d", n), Position: int64(n + 1), AppendEnd: int64(n + 1)}
			e.ID, e.Type, e.SchemaVersion = uuid.New(), "Deposited", 1
			e.Data = fmt.Appendf(nil, `{"Amount":1,"Note":%q}`, strings.Repeat("n", l.size))
			if n%25 == 24 {
				*l.held = max(*l.held, heapInUse())
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

func heapInUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestARebuildHoldsNoMoreThanAllowed over events of 1 MiB, of which its rows keep nothing.
func TestARebuildHoldsNoMoreThanAllowed(t *testing.T) {
	var held int64
	prepared, errs := newTotals("totals").prepare(newCodec(t))
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	const allowed = 64 << 20
	before := heapInUse()
	s := pass{
		knows: newVocabulary(nil, newCodec(t), nil, nil),
		log:   largeLog{events: 200, size: 1 << 20, held: &held}, codec: newCodec(t), types: prepared.types(), target: 200,
		buckets: bucketCount, want: func(int) bool { return true }, workers: 2, memory: allowed,
	}
	_, total, err := prepared.(*foldProjector[string, totals]).foldLog(t.Context(), s)
	if err != nil || total.Events != 200 {
		t.Fatalf("foldLog = %+v, %v, want 200 events", total, err)
	}
	if held -= before; held > allowed {
		t.Errorf("%d MiB were held, 64 are allowed", held>>20)
	}
}

// TestAThrottleIsHeld: events are read as fast as it says, also after rows were copied for a while.
func TestAThrottleIsHeld(t *testing.T) {
	for _, throttle := range []int{7, 1000, 20_000} {
		t.Run(fmt.Sprint(throttle), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := operations.NewMeter(throttle)
				s := pass{knows: newVocabulary(nil, newCodec(t), nil, nil), throttle: throttle}
				size := s.options().PageSize
				for range 3 {
					time.Sleep(time.Minute) // something else is done
					begun, events := time.Now(), 0
					for time.Since(begun) < 10*time.Second {
						time.Sleep(time.Second / time.Duration(3*throttle) * time.Duration(size)) // to read them
						if err := m.Read(t.Context(), size, size, 1); err != nil {
							t.Fatal(err)
						}
						events += size
					}
					if rate := float64(events) / time.Since(begun).Seconds(); rate < 0.95*float64(throttle) || rate > 1.05*float64(throttle) {
						t.Errorf("%.1f events a second were read with a throttle of %d", rate, throttle)
					}
				}
			})
		})
	}
}

// newRecipients returns a fold whose rows keep a part of an event, the names in the last transfer
// of an account. With a change in place a deposit changes the first of them there.
func newRecipients(name string, inPlace bool) *Fold[string, recipients] {
	f := NewFold[string, recipients](Table{Name: name, Version: 1})
	Upsert(f, ByID, func(r *recipients, e transferred, _ Recorded) error {
		r.To = e.To
		return nil
	})
	Upsert(f, ByID, func(r *recipients, e deposited, _ Recorded) error {
		if inPlace {
			r.To[0] = e.Note
		}
		return nil
	})
	return f
}

type recipients struct{ To []string }

// TestFoldsThatKeepAPartOfAnEvent: one changes it in its own rows, which must change nothing for
// the other, rebuilt at the same time.
func TestFoldsThatKeepAPartOfAnEvent(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for i := range 100 {
		b.append(fmt.Sprintf("account-%d", i), transferred{To: []string{"ann"}})
		b.append(fmt.Sprintf("account-%d", i), deposited{Note: "bob"})
	}
	r := b.runner(newRecipients("changed", true), newRecipients("kept", false))
	var requests []operations.Request
	for _, name := range []string{"changed", "kept"} {
		requests = append(requests, operations.Request{Kind: Rebuild, Subject: name, Actor: "test"})
	}
	if _, errs := r.RunAll(t.Context(), requests, nil); errors.Join(errs...) != nil {
		t.Fatal(errs)
	}
	for name, want := range map[string]string{"changed": "bob", "kept": "ann"} {
		var rows int
		err := b.pool().QueryRow(t.Context(), `SELECT count(*) FROM `+tableName{b.db.Schema, b.status(name).Table}.String()+
			` WHERE "to" = jsonb_build_array($1::text)`, want).Scan(&rows)
		if err != nil || rows != 100 {
			t.Errorf("%s has %d rows with %q, %v, want 100", name, rows, want, err)
		}
	}
}
