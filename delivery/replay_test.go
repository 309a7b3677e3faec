package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/57528e99/recount/operations"
)

// allowed returns the choices of a replay that is allowed.
func allowed(from, to int64) ReplayOptions {
	return ReplayOptions{From: Start{Position: from}, To: Start{Position: to}, Allow: true, Reason: "lost", Actor: "me"}
}

func (b *bench) replay(name string, o ReplayOptions) Replay {
	b.Helper()
	r, err := b.admin().Replay(b.Context(), name, o)
	if err != nil {
		b.Fatal(err)
	}
	return r
}

// replayed waits until a replay has ended, and returns it.
func (b *bench) replayed(r Replay, want operations.State) Replay {
	b.Helper()
	b.eventually(func() error {
		all, err := b.admin().Replays(b.Context(), r.Subscription)
		if err != nil {
			b.Fatal(err)
		}
		for _, other := range all {
			if other.Name == r.Name {
				r = other
			}
		}
		if r.State == operations.Running {
			return fmt.Errorf("%+v runs", r)
		}
		return nil
	})
	if r.State != want {
		b.Fatalf("%+v, want that it is %s", r, want)
	}
	return r
}

// counted waits until a subscription has delivered so many events, and its cursors have passed them.
func (b *bench) counted(name string, n int64) {
	b.Helper()
	b.eventually(func() error {
		if got := read[int64](b, `SELECT sum(delivered)::bigint FROM {schema}.subscription_partitions WHERE subscription = $1`, b.id(name)); got != n {
			return fmt.Errorf("%s has delivered %d, want %d", name, got, n)
		}
		return nil
	})
}

// untouched returns a check that a subscription is as it is now: its owners, counts and rows; and its cursor, if it has one alone:
// those of partitions in which nothing matches go along now and then.
func (b *bench) untouched(name string) (check func()) {
	b.Helper()
	as := func() string {
		return read[string](b, `SELECT string_agg(concat_ws(' ', p.partition, p.member, p.epoch, CASE s.partitions WHEN 1 THEN p.position END, p.matched, p.delivered), ', ' ORDER BY p.partition)
			|| (SELECT concat(' rows ', count(*)) FROM {schema}.subscription_parked r WHERE r.subscription = $1)
			FROM {schema}.subscription_partitions p JOIN {schema}.subscriptions s ON s.id = p.subscription WHERE s.id = $1`, b.id(name))
	}
	before := as()
	return func() {
		b.Helper()
		if now := as(); now != before {
			b.Errorf("%s is at %s, it was at %s", name, now, before)
		}
	}
}

// TestFault20AReplaySaysSoAndGoesToNobodyWhoRefuses: those of the reference ran side effects again, and nothing told them apart.
func TestFault20AReplaySaysSoAndGoesToNobodyWhoRefuses(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.app = "test"
	a := b.admin()
	var mu sync.Mutex
	var got []Delivery
	h := HandleRaw("h", func(_ context.Context, d *Delivery) error {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, *d)
		return nil
	})
	b.process("one", func(c *Config) {
		c.Subscriptions = []Subscription{from(AtBeginning, h, func(d *Definition) { d.Partitions = 1 })}
		c.Targets = map[string]TargetFactory{KindHTTP: func(d Definition) (Target, error) {
			_, err := d.Checked() // as that of package webhook
			return h.target(c.Codec), err
		}}
	})
	var last int64
	for i := range 40 {
		last = b.events(fmt.Sprint("order-", i%7), placed{Total: int64(i)})
		if i%10 == 0 {
			last = b.events(fmt.Sprint("order-", i%7), cancelled{})
		}
	}
	delivered := func(want int) {
		t.Helper()
		b.eventually(func() error {
			mu.Lock()
			defer mu.Unlock()
			if len(got) != want {
				return fmt.Errorf("%d were delivered, want %d", len(got), want)
			}
			return nil
		})
	}
	delivered(int(last))
	b.counted("h", last)

	// What it would do is said, and who refuses gets nothing.
	o := allowed(5, 30)
	o.Filter, o.Allow, o.DryRun = json.RawMessage(`{"type":["OrderPlaced"]}`), false, true
	count := b.replay("h", o)
	if count.Matched == 0 || !maps.Equal(count.Types, map[string]int64{"OrderPlaced": count.Matched}) || !strings.Contains(count.Refused, `"replays":"refuse"`) {
		t.Errorf("the dry run says %+v, want placed orders alone, and that it is refused", count)
	}
	o.DryRun = false
	if _, err := a.Replay(t.Context(), "h", o); !errors.Is(err, ErrReplaysRefused) {
		t.Fatalf("err = %v, want that it is refused", err)
	}
	if all, err := a.Replays(t.Context(), "h"); err != nil || len(all) != 0 {
		t.Fatalf("there are replays %+v, %v", all, err)
	}

	// What is allowed comes again as it came, and says so.
	same := b.untouched("h")
	o.Allow = true
	r := b.replayed(b.replay("h", o), operations.Done)
	if r.Matched != count.Matched || r.Delivered != count.Matched || r.Position != 30 || r.Dead != 0 || r.FinishedAt == nil || r.RequestedBy != "me" {
		t.Errorf("%+v, want %d delivered up to position 30", r, count.Matched)
	}
	delivered(int(last + count.Matched))
	ids, latest := make(map[int64]string), make(map[string]int64)
	for i, d := range got {
		e := d.Events[0]
		if int64(i) < last {
			ids[e.Position] = e.MessageID.String()
		}
		if replay := int64(i) >= last; replay && (d.Replay != r.Name || e.Position < 5 || e.Position > 30 || e.Position < latest[e.Stream]) || !replay && d.Replay != "" {
			t.Errorf("position %d of %s was delivered as of replay %q, after %d", e.Position, e.Stream, d.Replay, latest[e.Stream])
		} else if replay {
			latest[e.Stream] = e.Position
		}
		if d.Subscription != "h" || e.Replay != d.Replay || e.MessageID.String() != ids[e.Position] {
			t.Errorf("position %d came as %s of %q, want the same as before", e.Position, e.MessageID, d.Subscription)
		}
	}
	same()
	b.eventually(func() error { // what is left of it goes
		if _, err := a.Get(t.Context(), r.Name); !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("the subscription %s is there: %v", r.Name, err)
		}
		return nil
	})
	if log, err := a.Audit(t.Context(), "h", 1); err != nil || len(log) != 1 || log[0].Action != "replay" || !strings.Contains(log[0].Detail, "lost") {
		t.Errorf("the audit says %+v, %v", log, err)
	}
	// One that says in its definition that it may get events again gets them, and another target, but for appends.
	d := b.status("h").Definition
	d.Replays = AllowReplays
	if _, err := a.Put(t.Context(), d, PutOptions{}); err != nil {
		t.Fatal(err)
	}
	o = allowed(1, 1)
	o.Allow = false
	b.replayed(b.replay("h", o), operations.Done)
	o.Target = &TargetConfig{HTTP: &HTTPTarget{URL: "https://example.com/"}}
	b.replayed(b.replay("h", o), operations.Done)
	o.Target = &TargetConfig{Append: &AppendTarget{Stream: "copy-{id}"}}
	if _, err := a.Replay(t.Context(), "h", o); !errors.Is(err, ErrReplaysRefused) {
		t.Errorf("err = %v, want that it is refused to append", err)
	}
}

// TestAReplayGoesOnElsewhere when the process that delivers and watches it is killed.
func TestAReplayGoesOnElsewhere(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.app = "test"
	var replaying atomic.Pointer[string] // by whom
	var done seen
	began, killed := make(chan struct{}), make(chan struct{})
	handler := func(process string) func(*Config) {
		var n atomic.Int64
		return declare(from(AtBeginning, HandleRaw("h", func(ctx context.Context, d *Delivery) error {
			if d.Replay == "" {
				return nil
			}
			if process == "one" && n.Add(1) == 20 {
				close(began)
			}
			if process == "one" && n.Load() >= 20 {
				<-killed
				return ctx.Err()
			}
			replaying.Store(&process)
			done.add(d.Events[0])
			return nil
		}), func(d *Definition) { d.Partitions = 2 }))
	}
	one := b.process("one", handler("one"))
	var last int64
	for i := range 60 {
		last = b.events(fmt.Sprint("order-", i%9), placed{})
	}
	b.counted("h", last)
	r := b.replay("h", ReplayOptions{From: Start{At: AtBeginning}, Allow: true, Reason: "all", Actor: "me"})
	<-began
	b.eventually(func() error {
		if read[int](b, `SELECT count(*) FROM {schema}.operations WHERE owner = 'one' AND state = 'running'`) != 1 {
			return errors.New("nobody watches")
		}
		return nil
	})
	b.killProcess(one)
	close(killed)
	b.process("two", handler("two"))
	if r = b.replayed(r, operations.Done); r.To != last || r.Delivered != r.Matched {
		t.Errorf("%+v, want all up to %d", r, last)
	}
	if by := replaying.Load(); by == nil || *by != "two" {
		t.Error("the other process delivered nothing of it")
	}
	seen := make(map[int64]bool)
	for _, p := range done.positions() {
		seen[p] = true
	}
	if int64(len(seen)) != last {
		t.Errorf("%d events were delivered again, want %d", len(seen), last)
	}
	b.counted("h", last)
}

// TestAReplayIsHeldToItsRateAndEnds when somebody deletes it; nothing of it is left.
func TestAReplayIsHeldToItsRateAndEnds(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.app = "test"
	a := b.admin()
	var tried atomic.Int64
	h := HandleRaw("h", func(_ context.Context, d *Delivery) error {
		if d.Replay != "" {
			tried.Add(1)
			return errNot
		}
		return nil
	})
	b.process("one", declare(from(AtBeginning, h, nil)))
	var last int64
	for i := range 20 {
		last = b.events(fmt.Sprint("order-", i), placed{})
	}
	b.counted("h", last)
	same := b.untouched("h")
	o := allowed(2, last)
	o.Rate = 0.001
	r := b.replay("h", o)
	b.eventually(func() error {
		all, err := a.Replays(t.Context(), "h")
		if err != nil || len(all) != 1 || all[0].Parked != 1 {
			return fmt.Errorf("%+v, %v, want an event parked", all, err)
		}
		return nil
	})
	if s := b.status(r.Name); s.ReplayOf != "h" || len(s.Partitions) != 1 || *s.LagEvents != last-2 {
		t.Errorf("its status is %+v, want a partition that has all but two before it", s)
	}
	if all, err := a.List(t.Context()); err != nil || len(all) != 1 || !slices.Equal(all[0].Replays, []string{r.Name}) {
		t.Errorf("listed is %+v, %v, want the subscription with its replay", all, err)
	}
	if x, err := a.Explain(t.Context(), r.Name, 1); err != nil || x.State != BeforeStart {
		t.Errorf("explained as %+v, %v", x, err)
	}
	for what, err := range map[string]error{
		"another replay": second(a.Replay(t.Context(), "h", o)), "a replay of it": second(a.Replay(t.Context(), r.Name, o)),
		"a reset": second(a.Reset(t.Context(), r.Name, ResetOptions{To: Start{At: AtEnd}, Reason: "no"})),
	} {
		if !errors.Is(err, ErrReplayRunning) && !errors.Is(err, ErrIsReplay) {
			t.Errorf("%s: err = %v", what, err)
		}
	}
	if err := a.Delete(t.Context(), r.Name, 0, false, "me"); err != nil {
		t.Fatal(err)
	}
	r = b.replayed(r, operations.Cancelled)
	if n := tried.Load(); n != 1 {
		t.Errorf("%d attempts were made at a rate of one in %.0f s", n, 1/o.Rate)
	}
	same()
	if _, err := b.sweep(t.Context(), make(deadCounts)); err != nil {
		t.Fatal(err)
	}
	if n := read[int](b, `SELECT (SELECT count(*) FROM {schema}.subscriptions) * 100 + (SELECT count(*) FROM {schema}.subscription_parked)`); n != 100 {
		t.Errorf("there are %d subscriptions and %d rows, want the one", n/100, n%100)
	}
	if log, err := a.Audit(t.Context(), "h", 1); err != nil || len(log) != 1 || log[0].Action != "delete" || !strings.Contains(log[0].Detail, r.Name) {
		t.Errorf("the audit says %+v, %v", log, err)
	}
	if again := b.replay("h", allowed(last, last)); again.Name == r.Name {
		t.Errorf("another replay has the name %s too", r.Name)
	}
}

func second[T any](_ T, err error) error { return err }

// TestDeadLettersOfAReplayAreItsOwn: it ends with them, and is there until they are decided on.
func TestDeadLettersOfAReplayAreItsOwn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.app = "test"
	a := b.admin()
	var mended atomic.Bool
	var redriven seen
	h := HandleRaw("h", func(_ context.Context, d *Delivery) error {
		switch {
		case d.Replay == "" || d.Events[0].Stream != "order-0":
		case !mended.Load():
			return Permanent(errNot)
		default:
			redriven.add(d.Events[0])
		}
		return nil
	})
	b.process("one", declare(from(AtBeginning, h, func(d *Definition) { d.Partitions = 1 })))
	var last int64
	for i := range 30 {
		last = b.events(fmt.Sprint("order-", i), placed{})
	}
	b.cursors("h", last, nil)
	r := b.replayed(b.replay("h", allowed(1, last)), operations.Done)
	if r.Dead != 1 || r.Delivered != last-1 || r.Matched != last {
		t.Errorf("%+v, want all delivered but one", r)
	}
	if s := b.status("h"); s.Dead != 0 || !slices.Equal(s.Replays, []string{r.Name}) {
		t.Errorf("the subscription has %d dead letters and replays %v", s.Dead, s.Replays)
	}
	if err := a.Delete(t.Context(), r.Name, 0, false, "me"); !errors.Is(err, ErrHasDeadLetters) {
		t.Errorf("err = %v, want that it has dead letters", err)
	}
	mended.Store(true)
	if _, err := a.Redrive(t.Context(), r.Name, DeadOptions{All: true, Actor: "me"}); err != nil {
		t.Fatal(err)
	}
	b.has(&redriven, 1)
	if e := redriven.list[0]; !e.Redrive || e.Replay != r.Name {
		t.Errorf("it came with redrive %t and replay %q", e.Redrive, e.Replay)
	}
	b.cursors(r.Name, last, nil)
	if _, err := b.sweep(t.Context(), make(deadCounts)); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Get(t.Context(), r.Name); !errors.Is(err, ErrNotFound) {
		t.Errorf("err = %v, want that nothing is left of it", err)
	}
}

// TestAReplayHasNoEffectTwice at who remembers; another target has had none yet.
func TestAReplayHasNoEffectTwice(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.app = "test"
	b.exec(effectsTable)
	b.effectFunction("by_sql")
	b.process("one", declare(from(AtBeginning, HandleTxRaw("h", insertEffect, Remember()), nil)))
	var last int64
	for i := range 20 {
		last = b.events(fmt.Sprint("order-", i%3), placed{Total: int64(i)})
	}
	b.oneEffectEach("h", last)
	if r := b.replayed(b.replay("h", allowed(1, last)), operations.Done); r.Delivered != last {
		t.Errorf("%+v, want %d delivered", r, last)
	}
	b.oneEffectEach("h", last)
	o := allowed(1, last)
	o.Target, o.Filter = &TargetConfig{SQL: &SQLTarget{Function: "by_sql", Remember: true}}, json.RawMessage(`{"stream":["order-1"]}`)
	o.Allow = false
	r := b.replayed(b.replay("h", o), operations.Done)
	if n := read[int64](b, `SELECT count(*) FROM effects WHERE subscription = 'by_sql' AND stream = 'order-1'`); n != 7 || r.Matched != 7 {
		t.Errorf("the other target had %d effects of %d, want 7", n, r.Matched)
	}
}

// TestReplaysAreCheckedBeforeTheyBegin: places, filter, target, rate and reason.
func TestReplaysAreCheckedBeforeTheyBegin(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.mustPut("mail", `{`+toHandler+`,"replays":"allow"}`)
	for range 3 {
		b.append("order-1")
	}
	for _, c := range []struct {
		change func(*ReplayOptions)
		want   string
	}{
		{func(o *ReplayOptions) { o.From = Start{} }, "/from must be there"},
		{func(o *ReplayOptions) { o.From.Position = 5 }, "/from/position must be at most 4"},
		{func(o *ReplayOptions) { o.From = Start{At: "middle"} }, "/from must be "},
		{func(o *ReplayOptions) { o.To.Position = 4 }, "/to/position must be at most 3"},
		{func(o *ReplayOptions) { o.To = Start{Time: time.Now().Add(time.Hour)} }, "/to/time must not be in the future"},
		{func(o *ReplayOptions) { o.From.Position, o.To.Position = 3, 2 }, "/to is position 2, and from is 3"},
		{func(o *ReplayOptions) { o.To = Start{At: AtBeginning} }, "/to is position 0"},
		{func(o *ReplayOptions) { o.Filter = json.RawMessage(`{"type":"Happened"}`) }, "/filter/type"},
		{func(o *ReplayOptions) { o.Target = &TargetConfig{} }, "/target must have one of"},
		{func(o *ReplayOptions) { o.Target = &TargetConfig{Pull: &PullTarget{}} }, "/target must be one that events are sent to"},
		{func(o *ReplayOptions) { o.Rate = -1 }, "rate is -1 events a second"},
		{func(o *ReplayOptions) { o.Reason = "" }, "reason must say why"},
	} {
		o := allowed(1, 3)
		c.change(&o)
		_, err := b.admin().Replay(t.Context(), "mail", o)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("err = %v, want %q", err, c.want)
		}
	}
	if n := read[int](b, `SELECT count(*) FROM {schema}.operations`); n != 0 {
		t.Errorf("%d were begun", n)
	}
}
