package delivery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/operations"
)

const toPull = `"start":"beginning","target":{"pull":{}}`

// broker returns one that runs until the test's end.
func (b *bench) broker(change ...func(*BrokerConfig)) *Broker {
	b.Helper()
	c := BrokerConfig{Pool: b.db.Pool, Schema: b.db.Schema, Store: b.store}
	for _, f := range change {
		f(&c)
	}
	broker, err := NewBroker(c)
	if err != nil {
		b.Fatal(err)
	}
	broker.every = 20 * time.Millisecond
	if err := broker.Start(context.WithoutCancel(b.Context())); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := broker.Stop(ctx); err != nil {
			b.Error(err)
		}
	})
	return broker
}

// pulled returns n events: no less within some time, no more at all.
func (b *bench) pulled(broker *Broker, n int, o PullOptions) []Pulled {
	b.Helper()
	var all []Pulled
	if o.Max == 0 {
		o.Max = 10
	}
	b.eventually(func() error {
		some, err := broker.Pull(b.Context(), "jobs", PullOptions{Max: o.Max, Wait: time.Second, Lease: o.Lease})
		if err != nil {
			b.Fatal(err)
		}
		if all = append(all, some...); len(all) < n {
			return fmt.Errorf("pulled %d events, want %d", len(all), n)
		}
		return nil
	})
	if len(all) > n {
		b.Fatalf("pulled %d events, want %d", len(all), n)
	}
	return all
}

func (b *bench) pullsNothing(broker *Broker) {
	b.Helper()
	if some, err := broker.Pull(b.Context(), "jobs", PullOptions{Max: 10}); err != nil || len(some) > 0 {
		b.Fatalf("pulled %v, %v; want nothing", positionsOf(some), err)
	}
}

func positionsOf(all []Pulled) (positions []int64) {
	for i := range all {
		positions = append(positions, all[i].Event.Position)
	}
	return positions
}

// settled wants all tokens to have the outcome.
func (b *bench) settled(want TokenOutcome) func([]TokenResult, error) {
	return func(results []TokenResult, err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
		for _, r := range results {
			if r.Outcome != want {
				b.Fatalf("a token is %s, want %s", r.Outcome, want)
			}
		}
	}
}

func tokensOf(all ...Pulled) (tokens []string) {
	for i := range all {
		tokens = append(tokens, all[i].Token)
	}
	return tokens
}

func (b *bench) explained(position int64) ExplainedState {
	b.Helper()
	x, err := b.admin().Explain(b.Context(), "jobs", position)
	if err != nil {
		b.Fatal(err)
	}
	return x.State
}

// Two processes hand out the events of a subscription, one after the other of each key, and settle them for each other.
func TestPullersCompeteInOrderOfKeys(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.mustPut("jobs", `{`+toPull+`}`)
	for _, stream := range []string{"a-1", "a-1", "b-1", "a-1", "b-1"} {
		b.append(stream)
	}
	one, other := b.broker(), b.broker()
	first := b.pulled(one, 2, PullOptions{})
	if got := positionsOf(first); !slices.Equal(got, []int64{1, 3}) || first[0].Event.Attempt != 1 {
		t.Fatalf("pulled %v at first, want 1 and 3", got)
	}
	b.pullsNothing(other)
	for position, want := range map[int64]ExplainedState{1: IsLeased, 2: IsBlocked, 3: IsLeased} {
		if got := b.explained(position); got != want {
			t.Errorf("event %d is %s, want %s", position, got, want)
		}
	}
	b.settled(TokenSettled)(other.Ack(t.Context(), "jobs", tokensOf(first...)...))
	b.settled(TokenGone)(one.Ack(t.Context(), "jobs", tokensOf(first...)...))
	second := b.pulled(other, 2, PullOptions{})
	if got := positionsOf(second); !slices.Equal(got, []int64{2, 5}) {
		t.Fatalf("pulled %v then, want 2 and 5", got)
	}
	// It waits for its next attempt, and what is of its key waits behind it.
	now := time.Duration(0)
	b.settled(TokenSettled)(one.Nack(t.Context(), "jobs", NackOptions{Delay: new(time.Hour), Error: "not now"}, second[0].Token))
	b.settled(TokenOvertaken)(one.Ack(t.Context(), "jobs", second[0].Token))
	b.settled(TokenSettled)(one.Nack(t.Context(), "jobs", NackOptions{Delay: &now}, second[1].Token))
	again := b.pulled(one, 1, PullOptions{})
	if again[0].Event.Position != 5 || again[0].Event.Attempt != 2 {
		t.Fatalf("pulled %v, attempt %d; want 5 again", positionsOf(again), again[0].Event.Attempt)
	}
	if got := b.explained(2); got != IsWaiting {
		t.Errorf("event 2 is %s, want %s", got, IsWaiting)
	}
	if err := b.admin().RetryNow(t.Context(), "jobs", 2, "me"); err != nil {
		t.Fatal(err)
	}
	retried := b.pulled(one, 1, PullOptions{})
	// What is permanent is dead at once, and frees the next.
	results, err := one.Nack(t.Context(), "jobs", NackOptions{Permanent: true, Error: "poison"}, retried[0].Token)
	if err != nil || !results[0].Dead {
		t.Fatalf("a permanent failure: %+v, %v", results, err)
	}
	last := b.pulled(other, 1, PullOptions{})
	b.settled(TokenSettled)(other.Ack(t.Context(), "jobs", tokensOf(last[0], again[0])...))
	letters, _, err := b.admin().Dead(t.Context(), "jobs", DeadQuery{})
	if err != nil || len(letters) != 1 || letters[0].Position != 2 || letters[0].Class != "permanent" || letters[0].Error != "poison" {
		t.Fatalf("dead letters %+v, %v", letters, err)
	}
	if _, err := b.admin().Redrive(t.Context(), "jobs", DeadOptions{All: true}); err != nil {
		t.Fatal(err)
	}
	redriven := b.pulled(other, 1, PullOptions{})
	if e := redriven[0].Event; e.Position != 2 || !e.Redrive || e.Attempt != 1 {
		t.Fatalf("redriven %+v", e)
	}
	b.settled(TokenSettled)(one.Ack(t.Context(), "jobs", redriven[0].Token))
	b.eventually(func() error {
		s := b.status("jobs")
		if p := s.Partitions[0]; p.Position != 5 || p.Filled != 5 || p.Delivered != 5 || p.Matched != 5 || *s.LagEvents != 0 || s.Parked+s.Dead > 0 || s.State != operations.Running {
			return fmt.Errorf("status %+v", s)
		}
		return nil
	})
	if got := b.explained(4); got != IsDelivered {
		t.Errorf("event 4 is %s, want %s", got, IsDelivered)
	}
	if n := read[int](b, `SELECT count(*) FROM {schema}.subscription_attempts WHERE outcome <> 'done'`); n != 3 {
		t.Errorf("%d failed attempts are kept, want 3", n)
	}
}

// One who waits gets what is appended, and what another frees; and nothing when its time is over or the process stops.
func TestPullWaits(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.mustPut("jobs", `{`+toPull+`,"filter":{"category":["a"]}}`)
	broker := b.broker()
	b.pullsNothing(broker)
	got := make(chan []Pulled, 1)
	wait := func() {
		some, err := broker.Pull(b.Context(), "jobs", PullOptions{Max: 5, Wait: MaxPullWait})
		if err != nil {
			b.Error(err)
		}
		got <- some
	}
	go wait()
	b.append("b-1")
	b.append("a-1")
	b.append("a-1")
	first := <-got
	if !slices.Equal(positionsOf(first), []int64{2}) {
		t.Fatalf("pulled %v, want 2", positionsOf(first))
	}
	go wait()
	b.settled(TokenSettled)(broker.Ack(t.Context(), "jobs", first[0].Token))
	if second := <-got; !slices.Equal(positionsOf(second), []int64{3}) {
		t.Fatalf("pulled %v, want 3", positionsOf(second))
	}
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		_, err := broker.Pull(ctx, "jobs", PullOptions{Wait: MaxPullWait})
		left <- err
	}()
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("one who left: %v", err)
	}
	go wait()
	broker.EndWaits()
	if some := <-got; len(some) > 0 {
		t.Errorf("pulled %v", positionsOf(some))
	}
}

func TestWhatCannotBePulled(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	broker := b.broker()
	b.mustPut("mail", `{`+toHandler+`}`)
	b.mustPut("jobs", `{`+toPull+`}`)
	pull := func(name string, o PullOptions) error {
		_, err := broker.Pull(t.Context(), name, o)
		return err
	}
	for _, c := range []struct {
		err, want error
	}{
		{pull("none", PullOptions{}), ErrNotFound},
		{pull("mail", PullOptions{}), ErrNotPulled},
		{pull("jobs", PullOptions{Max: MaxPull + 1}), operations.ErrInvalid},
		{pull("jobs", PullOptions{Wait: time.Minute}), operations.ErrInvalid},
		{pull("jobs", PullOptions{Lease: time.Millisecond}), operations.ErrInvalid},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("error %v, want %v", c.err, c.want)
		}
	}
	if _, err := broker.Ack(t.Context(), "jobs", "no token"); !errors.Is(err, operations.ErrInvalid) {
		t.Errorf("no token: %v", err)
	}
	if _, err := b.put("jobs", `{`+toHandler+`}`); !errors.Is(err, ErrInvalid) {
		t.Errorf("another target: %v", err)
	}
	if _, err := ParseDefinition([]byte(`{"partitions":2,`+toPull+`}`), "new"); !errors.Is(err, ErrInvalid) {
		t.Error("two partitions were taken")
	}
	// Paused it hands out nothing, and takes what is said of events.
	b.append("a-1")
	one := b.pulled(broker, 1, PullOptions{})
	b.append("b-1")
	if err := b.admin().Pause(t.Context(), "jobs", "me"); err != nil {
		t.Fatal(err)
	}
	b.pullsNothing(broker)
	b.settled(TokenSettled)(broker.Ack(t.Context(), "jobs", one[0].Token))
	if err := b.admin().Resume(t.Context(), "jobs", "me"); err != nil {
		t.Fatal(err)
	}
	b.pulled(broker, 1, PullOptions{})
	// Another of the name is another.
	if err := b.admin().Delete(t.Context(), "jobs", 0, false, "me"); err != nil {
		t.Fatal(err)
	}
	b.mustPut("jobs", `{`+toPull+`}`)
	if again := b.pulled(broker, 2, PullOptions{}); again[0].Event.Attempt != 1 {
		t.Errorf("attempt %d of a subscription made anew", again[0].Event.Attempt)
	}
}

// A reset forgets what callers have and what waits: behind it everything comes again, before it everything is left out.
func TestResetOfWhatIsPulled(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.mustPut("jobs", `{`+toPull+`}`)
	for _, stream := range []string{"a-1", "a-1", "b-1", "c-1"} {
		b.append(stream)
	}
	broker := b.broker()
	first := b.pulled(broker, 3, PullOptions{})
	b.settled(TokenSettled)(broker.Ack(t.Context(), "jobs", first[0].Token))
	dry, err := b.admin().Reset(t.Context(), "jobs", ResetOptions{To: Start{Position: 2}, DryRun: true})
	if err != nil || *dry.Repeated != 3 || dry.Parked != 3 {
		t.Errorf("a dry run: %+v, repeated %v; %v; want 3 that come again, and 3 rows", dry, *dry.Repeated, err)
	}
	reset := func(to Start) {
		if _, err := b.admin().Reset(t.Context(), "jobs", ResetOptions{To: to, Reason: "a test", Actor: "me"}); err != nil {
			t.Fatal(err)
		}
	}
	reset(Start{At: AtEnd})
	b.pullsNothing(broker)
	b.settled(TokenGone)(broker.Ack(t.Context(), "jobs", first[1].Token))
	if got := b.explained(2); got != Skipped {
		t.Errorf("event 2 is %s, want %s", got, Skipped)
	}
	reset(Start{Position: 2})
	again := b.pulled(broker, 3, PullOptions{})
	if got := positionsOf(again); !slices.Equal(got, []int64{2, 3, 4}) || again[0].Event.Attempt != 1 {
		t.Errorf("pulled %v again, attempt %d; want 2 to 4", got, again[0].Event.Attempt)
	}
}

// In a database that was restored nothing is handed out until it is adopted; then what is lost counts no more.
func TestPullAfterARestore(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.mustPut("jobs", `{`+toPull+`}`)
	b.append("a-1")
	b.append("b-1")
	broker := b.broker()
	first := b.pulled(broker, 2, PullOptions{})
	b.settled(TokenSettled)(broker.Ack(t.Context(), "jobs", first[0].Token))
	b.exec(`INSERT INTO {schema}.subscription_parked (subscription, position, partition, key, state, pulled) VALUES ($1, 8, 0, 'c-1', 'ready', true)`, b.id("jobs"))
	// It knows an event of before the restore whose position another will have.
	q, err := broker.queue(t.Context(), "jobs")
	if err != nil {
		t.Fatal(err)
	}
	q.recent.add([]offered{{&eventstore.RecordedEvent{Position: 3, Stream: "lost-1"}, "lost-1"}})
	b.exec(`UPDATE {schema}.subscription_partitions SET filled = 9`)
	b.exec(`UPDATE {schema}.log_incarnations SET system_identifier = 1`)
	b.eventually(func() error {
		if _, err := broker.Pull(t.Context(), "jobs", PullOptions{}); !errors.Is(err, eventstore.ErrLogMoved) {
			return fmt.Errorf("pull in a database that is not adopted: %v, want ErrLogMoved", err)
		}
		return nil
	})
	if _, lastCommon, err := b.store.Adopt(t.Context()); err != nil || lastCommon != 2 {
		t.Fatalf("Adopt = %d, %v", lastCommon, err)
	}
	b.append("c-1")
	if again := b.pulled(broker, 1, PullOptions{}); again[0].Event.Position != 3 || again[0].Event.Stream != "c-1" {
		t.Errorf("pulled %v of %s, want 3 of c-1", positionsOf(again), again[0].Event.Stream)
	}
	b.settled(TokenSettled)(broker.Ack(t.Context(), "jobs", first[1].Token))
}

// What is behind a dead letter of its key may be had from when those hold their key no longer, by whom has begun before also.
func TestWhatIsHeldGoesOnByAnotherDefinition(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.mustPut("jobs", `{"after_dead":"hold",`+toPull+`}`)
	for _, stream := range []string{"a-1", "a-1", "b-1"} {
		b.append(stream)
	}
	broker := b.broker()
	first := b.pulled(broker, 2, PullOptions{})
	b.settled(TokenSettled)(broker.Nack(t.Context(), "jobs", NackOptions{Permanent: true}, first[0].Token))
	b.pullsNothing(broker)
	b.mustPut("jobs", `{"filter":{"category":["b"]},`+toPull+`}`)
	if second := b.pulled(broker, 1, PullOptions{}); second[0].Event.Position != 2 {
		t.Errorf("pulled %v, want 2", positionsOf(second))
	}
	// What it leaves out by the other was not delivered, though nothing was found since.
	b.append("c-1")
	b.eventually(func() error {
		b.pullsNothing(broker)
		if p := b.status("jobs").Partitions[0]; p.Filled != 4 {
			return fmt.Errorf("it is filled up to %d, want 4", p.Filled)
		}
		return nil
	})
	b.append("b-2")
	b.pulled(broker, 1, PullOptions{})
	if got := b.explained(4); got != NotMatched {
		t.Errorf("event 4 is %s, want %s", got, NotMatched)
	}
}
