package storetest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/57528e99/recount/eventstore"
)

var subscribeClauses = []clause{
	{"subscribes from any position and catches up", always, catchesUp},
	{"goes on to what is appended later", always, goesLive},
	{"waits for a position that the log has not reached", always, waitsForPosition},
	{"never splits an append between batches", always, keepsAppendsWhole},
	{"bounds batches by bytes", always, boundsBytes},
	{"goes on from the next position of a batch without gap or double", always, resumesAtNext},
	{"tells how far a filtered subscription has come", always, advancesWithoutEvents},
	{"yields no batch while there is nothing new", always, staysSilent},
	{"ends a subscription with the error of its context", always, endsSubscriptionWithContext},
}

// follow collects n events of a subscription and checks what holds of every
// batch: order, bounds, and the places that it names.
func (f *fixture) follow(opts eventstore.ReadOptions, n int) []eventstore.RecordedEvent {
	f.Helper()
	var list []eventstore.RecordedEvent
	next := int64(0)
	for b, err := range f.subscribe(opts) {
		if err != nil {
			f.Fatalf("Subscribe(%+v): %v", opts, err)
		}
		if b.Next <= next {
			f.Fatalf("a batch has Next %d, the one before it %d", b.Next, next)
		}
		for _, e := range b.Events {
			if e.Position < next || e.Position < opts.From || e.Position >= b.Next {
				f.Fatalf("a batch from %d to Next %d has position %d", max(next, opts.From), b.Next, e.Position)
			}
			next = e.Position + 1
		}
		next = b.Next
		if at := b.Token(); b.Head.Position < next-1 || b.Head.Log != f.head().Log || at.Position != next-1 || at.Log != b.Head.Log {
			f.Fatalf("a batch to Next %d has Head %+v and Token %+v", next, b.Head, at)
		}
		if list = append(list, b.Events...); len(list) >= n {
			break
		}
	}
	return list
}

func catchesUp(f *fixture) {
	f.appendMixed()
	all := f.all(eventstore.ReadOptions{})
	for _, page := range pages {
		for i := range all {
			opts := eventstore.ReadOptions{From: all[i].Position, PageSize: page}
			f.wantEvents(fmt.Sprintf("Subscribe(%+v)", opts), f.follow(opts, len(all)-i), all[i:])
		}
		f.wantEvents("Subscribe", f.follow(eventstore.ReadOptions{PageSize: page}, len(all)), all)
	}
}

// Each append is made when the one before it has arrived, so that each has to
// wake the subscription.
func goesLive(f *fixture) {
	f.append("order-1", eventstore.NoStream, event("0"))
	arrived := 0
	for b, err := range f.subscribe(eventstore.ReadOptions{}) {
		if err != nil {
			f.Fatalf("Subscribe: %v", err)
		}
		f.wantLabels("the next batch", b.Events, fmt.Sprint(arrived))
		if arrived++; arrived == 20 {
			return
		}
		f.append(fmt.Sprint("order-", arrived%3), eventstore.Any, event(fmt.Sprint(arrived)))
	}
	f.Fatalf("Subscribe ended after %d events", arrived)
}

func waitsForPosition(f *fixture) {
	f.append("order-1", eventstore.NoStream, events("a", "b")...)
	from := f.head().Position + 1
	appended := make(chan error, 1)
	go func() {
		_, err := f.tryAppend("order-2", eventstore.NoStream, events("c", "d")...)
		appended <- err
	}()
	f.wantLabels("Subscribe from behind the head", f.follow(eventstore.ReadOptions{From: from}, 2), "c", "d")
	if err := <-appended; err != nil {
		f.Fatalf("Append: %v", err)
	}
}

// A consumer that keeps a checkpoint between two halves of an append could
// show one half.
func keepsAppendsWhole(f *fixture) {
	for i, n := range []int{1, 10, 2, 2, 7, 1, 25, 1} {
		f.append(fmt.Sprint("order-", i%2), eventstore.Any, numbered(fmt.Sprint(i, "."), n)...)
	}
	all := f.all(eventstore.ReadOptions{})
	for _, page := range []int{1, 2, 3, 5, 0} {
		for _, filter := range []eventstore.Filter{{}, {StreamPrefixes: []string{"order-1"}}} {
			for b, err := range f.subscribe(eventstore.ReadOptions{PageSize: page, Filter: filter}) {
				if err != nil {
					f.Fatalf("Subscribe: %v", err)
				}
				if e, split := cutBy(all, b.Next); split {
					f.Fatalf("with PageSize %d a batch ends at Next %d, inside the append of position %d to %d",
						page, b.Next, e.Position, e.AppendEnd)
				}
				// The biggest append has 25 events.
				if page > 0 && len(b.Events) >= page+25 {
					f.Fatalf("with PageSize %d a batch has %d events", page, len(b.Events))
				}
				if b.Next > all[len(all)-1].Position {
					break
				}
			}
		}
	}
}

// Where events are large, their number alone bounds nothing.
func boundsBytes(f *fixture) {
	for i := range 12 {
		large := numbered(fmt.Sprint(i, "."), 1+i%3)
		for n := range large {
			large[n].Metadata = make([]byte, 100)
		}
		f.append(fmt.Sprint("order-", i%2), eventstore.Any, large...)
	}
	all := f.all(eventstore.ReadOptions{PageBytes: 250})
	for _, bound := range []int{1, 250, 1000} {
		for b, err := range f.subscribe(eventstore.ReadOptions{PageBytes: bound}) {
			if err != nil {
				f.Fatalf("Subscribe: %v", err)
			}
			size := 0
			for i := range b.Events {
				size += b.Events[i].Size()
			}
			if n := len(b.Events); size > bound && b.Events[0].AppendEnd != b.Events[n-1].AppendEnd {
				f.Fatalf("with PageBytes %d a batch of more than one append has %d bytes in %d events", bound, size, n)
			}
			if b.Next > all[len(all)-1].Position {
				break
			}
		}
	}
}

// cutBy returns an event before next whose append ends at or behind it.
func cutBy(all []eventstore.RecordedEvent, next int64) (eventstore.RecordedEvent, bool) {
	for _, e := range all {
		if e.Position < next && e.AppendEnd >= next {
			return e, true
		}
	}
	return eventstore.RecordedEvent{}, false
}

// Next is what a checkpoint keeps across restarts.
func resumesAtNext(f *fixture) {
	for range 4 {
		f.appendMixed()
	}
	all := f.all(eventstore.ReadOptions{})
	for _, byToken := range []bool{false, true} {
		var got []eventstore.RecordedEvent
		opts := eventstore.ReadOptions{PageSize: 3}
		for len(got) < len(all) {
			for b, err := range f.subscribe(opts) {
				if err != nil {
					f.Fatalf("Subscribe(%+v): %v", opts, err)
				}
				got = append(got, b.Events...)
				if opts.From = b.Next; byToken {
					opts.From, opts.After = 0, b.Token()
				}
				break
			}
		}
		f.wantEvents("a subscription that starts again after every batch", got, all)
	}
}

// Without it, the checkpoint of a consumer that rarely finds something would
// stay behind, and each restart would read the whole log again.
func advancesWithoutEvents(f *fixture) {
	first := f.append("noise-1", eventstore.NoStream, event("noise"))
	for range 10 {
		f.append("noise-1", eventstore.Any, numbered("noise", 10)...)
	}
	opts := eventstore.ReadOptions{PageSize: 5, Filter: eventstore.Filter{Categories: []string{"order"}}}
	for b, err := range f.subscribe(opts) {
		if err != nil {
			f.Fatalf("Subscribe: %v", err)
		}
		if len(b.Events) > 0 {
			f.Fatalf("a filtered batch has %q", labels(b.Events))
		}
		if b.Next > first.Position+1 {
			break
		}
	}
	wanted := f.append("order-1", eventstore.NoStream, event("a"))
	got := f.follow(opts, 1)
	f.wantLabels("Subscribe", got, "a")
	opts.From = wanted.Position
	f.wantEvents("Subscribe from the event", f.follow(opts, 1), got)
}

// An empty batch that brings nothing would make every idle consumer write a
// checkpoint.
func staysSilent(f *fixture) {
	f.append("order-1", eventstore.NoStream, events("a", "b")...)
	appended := make(chan error, 1)
	// The subscription is idle until then, and may do wrong.
	time.AfterFunc(100*time.Millisecond, func() {
		_, err := f.tryAppend("order-1", eventstore.Any, event("c"))
		appended <- err
	})
	arrived := 0
	for b, err := range f.subscribe(eventstore.ReadOptions{}) {
		if err != nil {
			f.Fatalf("Subscribe: %v", err)
		}
		if len(b.Events) == 0 {
			f.Fatalf("a batch has no events, with Next %d and Head %d", b.Next, b.Head.Position)
		}
		if arrived += len(b.Events); arrived == 3 {
			break
		}
	}
	if err := <-appended; err != nil {
		f.Fatalf("Append: %v", err)
	}
}

func endsSubscriptionWithContext(f *fixture) {
	f.append("order-1", eventstore.NoStream, events("a", "b")...)
	ctx, cancel := context.WithCancel(f.Context())
	defer cancel()
	// Whether that finds the subscription reading or waiting, the end is the
	// same.
	time.AfterFunc(50*time.Millisecond, cancel)
	f.endsWith("a subscription that is cancelled", ctx, context.Canceled)
	f.endsWith("a subscription that was cancelled before", ctx, context.Canceled)

	late, cancel := context.WithTimeout(f.Context(), 50*time.Millisecond)
	defer cancel()
	f.endsWith("a subscription that times out", late, context.DeadlineExceeded)
}

// endsWith fails the test unless a subscription ends with the error want, in
// time.
func (f *fixture) endsWith(what string, ctx context.Context, want error) {
	f.Helper()
	ended := make(chan error, 1)
	go func() {
		end := errors.New("no error")
		for _, err := range f.Subscribe(ctx, eventstore.ReadOptions{}) {
			if err != nil {
				end = err
			}
		}
		ended <- end
	}()
	select {
	case err := <-ended:
		f.wantErr(what, err, want)
	case <-time.After(patience):
		f.Fatalf("%s did not end within %s", what, patience)
	}
}
