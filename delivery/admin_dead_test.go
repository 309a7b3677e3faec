package delivery

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/operations"
)

// withDead makes a subscription with a dead letter for each of n events, in streams a-1 and b-1 by turns, and returns its
// owner's partition.
func (b *bench) withDead(name string, n int) taken {
	b.Helper()
	b.mustPut(name, `{`+toHandler+`,"partitions":1,"start":"beginning"}`)
	own := b.takeAll(name)[0]
	m := move{owned: own.owned, To: int64(n)}
	at := time.Now().UTC().Truncate(time.Microsecond)
	for i := range n {
		stream := []string{"a-1", "b-1"}[i%2]
		position := b.append(stream)
		m.Put = append(m.Put, parkedRow{Position: position, Key: stream, State: dead, Class: []string{"permanent", "exhausted", "exhausted"}[i%3],
			Error: "no", Attempts: 3, FirstFailed: at, LastFailed: at, DeadAt: at})
	}
	b.moved(m)
	return own
}

func TestDeadLettersAreListedByPageAndFilter(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.withDead("mail", 10)
	list := func(q DeadQuery) (positions []int64) {
		t.Helper()
		for {
			page, next, err := b.admin().Dead(t.Context(), "mail", q)
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range page {
				positions = append(positions, l.Position)
				if l.Stream == "" || l.Type != "Happened" || l.DeadAt == nil {
					t.Errorf("letter %+v lacks what it is of", l)
				}
			}
			if q.Cursor = next; next == "" {
				return positions
			}
		}
	}
	for _, c := range []struct {
		q    DeadQuery
		want int64 // the sum of positions
	}{
		{DeadQuery{}, 55}, {DeadQuery{Limit: 3}, 55}, {DeadQuery{Limit: 10}, 55},
		{DeadQuery{Limit: 2, DeadFilter: DeadFilter{Stream: "a-1"}}, 25}, {DeadQuery{DeadFilter: DeadFilter{Type: "Other"}}, 0},
		{DeadQuery{Limit: 1, DeadFilter: DeadFilter{Class: "permanent"}}, 1 + 4 + 7 + 10}, {DeadQuery{DeadFilter: DeadFilter{Error: "o"}}, 55},
		{DeadQuery{DeadFilter: DeadFilter{Error: "yes"}}, 0}, {DeadQuery{DeadFilter: DeadFilter{Positions: []int64{2, 3, 99}}}, 5},
		{DeadQuery{DeadFilter: DeadFilter{Since: time.Now().Add(time.Hour)}}, 0}, {DeadQuery{DeadFilter: DeadFilter{Until: time.Now().Add(time.Hour)}}, 55},
	} {
		sum := int64(0)
		for _, p := range list(c.q) {
			sum += p
		}
		if sum != c.want {
			t.Errorf("%+v lists positions of sum %d, want %d", c.q, sum, c.want)
		}
	}
	for _, q := range []DeadQuery{{Limit: -1}, {Limit: 1001}, {Cursor: "?"}} {
		if _, _, err := b.admin().Dead(t.Context(), "mail", q); !errors.Is(err, operations.ErrInvalid) {
			t.Errorf("%+v: %v, want ErrInvalid", q, err)
		}
	}
	groups, err := b.admin().DeadGroups(t.Context(), "mail")
	if err != nil || len(groups) != 2 || groups[0].Class != "exhausted" || groups[0].Count != 6 || groups[1].First != 1 || groups[1].Last != 10 {
		t.Errorf("groups %+v, %v", groups, err)
	}
}

func TestDeadLettersAreRedrivenAndDiscardedByTheirOwner(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	own := b.withDead("mail", 6)
	ctx, a := t.Context(), b.admin()
	if _, err := a.Redrive(ctx, "mail", DeadOptions{}); !errors.Is(err, operations.ErrInvalid) {
		t.Errorf("redrive of nothing in particular: %v", err)
	}
	if _, err := a.Discard(ctx, "mail", DeadOptions{All: true}); !errors.Is(err, operations.ErrInvalid) {
		t.Errorf("discard without a reason: %v", err)
	}
	if w, err := a.Redrive(ctx, "mail", DeadOptions{All: true, DryRun: true}); err != nil || w.Count != 6 || len(w.First) != 6 {
		t.Errorf("dry run: %+v, %v", w, err)
	}
	wanted := func() string {
		return read[string](b, `SELECT coalesce(string_agg(position || ' ' || wanted, ', ' ORDER BY position), '') FROM {schema}.subscription_parked WHERE wanted IS NOT NULL`)
	}
	if wanted() != "" {
		t.Error("a dry run asked for something")
	}
	if w, err := a.Redrive(ctx, "mail", DeadOptions{Filter: DeadFilter{Stream: "b-1"}, Actor: "me"}); err != nil || w.Count != 3 {
		t.Errorf("redrive: %+v, %v", w, err)
	}
	if w, err := a.Discard(ctx, "mail", DeadOptions{Filter: DeadFilter{Positions: []int64{1}}, Reason: "broken", Actor: "me"}); err != nil || w.Count != 1 {
		t.Errorf("discard: %+v, %v", w, err)
	}
	if w := wanted(); w != "1 discard, 2 redrive, 4 redrive, 6 redrive" {
		t.Errorf("wanted: %s", w)
	}
	if err := a.RetryNow(ctx, "mail", 3, "me"); !errors.Is(err, ErrNotWaiting) {
		t.Errorf("retry of what is dead: %v", err)
	}
	// What nobody has is discarded at once, and its owner of before writes it no more.
	b.exec(`DELETE FROM {schema}.subscription_members`)
	if _, err := a.Discard(ctx, "mail", DeadOptions{All: true, Reason: "broken"}); err != nil {
		t.Fatal(err)
	}
	if refused := b.moved(move{owned: own.owned, From: 6, To: 6, Put: []parkedRow{{Position: 1, Key: "a-1", State: dead}}}); len(refused) != 1 {
		t.Error("the owner of before was not refused")
	}
	if s := b.status("mail"); s.Dead != 0 {
		t.Errorf("%d dead letters are left", s.Dead)
	}
}

func TestADeadLetterIsResubmittedAsAnotherEvent(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.withDead("mail", 2)
	ctx, a := t.Context(), b.admin()
	old, err := a.DeadLetter(ctx, "mail", 1)
	if err != nil || old.Event.Stream != "a-1" || old.Event.MessageID == [16]byte{} {
		t.Fatalf("dead letter %+v, %v", old, err)
	}
	if _, err := a.DeadLetter(ctx, "mail", 7); !errors.Is(err, ErrNoDeadLetter) {
		t.Errorf("dead letter where there is none: %v", err)
	}
	codec, err := eventstore.NewCodec(eventstore.TypeOf[placed]("Happened", 1))
	if err != nil {
		t.Fatal(err)
	}
	a = a.WithCodec(codec, "a")
	for pointer, r := range map[string]Resubmission{
		"/allow":          {},
		"/type":           {Type: "Hapened", Allow: true},
		"/data":           {Data: []byte(`[]`), Allow: true},
		"/schema_version": {SchemaVersion: 2, Allow: true},
	} {
		r.Position, r.Reason = 1, "typo"
		var invalid *operations.OptionError
		if _, err := a.Resubmit(ctx, "mail", r); !errors.As(err, &invalid) || "/"+invalid.Option != pointer {
			t.Errorf("resubmit %+v: %v, want it refused for %s", r, err, pointer)
		}
	}
	done, err := a.Resubmit(ctx, "mail", Resubmission{Position: 1, Data: []byte(`{"mended":true}`), Reason: "typo", Actor: "me", Allow: true})
	if err != nil || done.Position != 3 || done.Stream != "a-1" {
		t.Fatalf("resubmit = %+v, %v", done, err)
	}
	for e, err := range b.store.ReadAll(ctx, eventstore.ReadOptions{From: 3, Limit: 1}) {
		if err != nil || string(e.Data) != `{"mended":true}` || e.Type != "Happened" || !strings.Contains(string(e.Metadata), `"supersedes":{"position":1,"event_id":"`+old.EventID.String()) {
			t.Errorf("the new event is %s %s %s, %v", e.Type, e.Data, e.Metadata, err)
		}
	}
	if _, err := a.Resubmit(ctx, "mail", Resubmission{Position: 1, Reason: "again", Allow: true}); !errors.Is(err, ErrNoDeadLetter) {
		t.Errorf("resubmit again: %v, want ErrNoDeadLetter", err)
	}
	if _, err := a.Resubmit(ctx, "mail", Resubmission{Position: 2, Type: "Hapened", Reason: "of the next version", Force: true}); err != nil {
		t.Errorf("resubmit what cannot be read by force: %v", err)
	}
	if head := b.head(); head.Position != 4 {
		t.Errorf("the log ends at %d: what was refused was appended", head.Position)
	}
}

func TestSweepRemovesWhatIsKeptNoLonger(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	own := b.withDead("mail", 4)
	b.exec(`UPDATE {schema}.subscription_parked SET dead_at = now() - interval '15 days' WHERE position < 4`)
	b.exec(`UPDATE {schema}.subscription_parked SET wanted = 'redrive' WHERE position = 1`)
	for _, age := range []time.Duration{0, 8 * 24 * time.Hour} {
		if err := b.recordAttempts(t.Context(), "p", []attempt{{Subscription: own.Subscription, Position: 4, Attempt: 1, At: time.Now().Add(-age), Outcome: "transient"}}); err != nil {
			t.Fatal(err)
		}
	}
	sweep := func() {
		t.Helper()
		if _, err := b.sweep(t.Context(), deadCounts{}); err != nil {
			t.Fatal(err)
		}
	}
	positions := func() string {
		return read[string](b, `SELECT coalesce(string_agg(position::text, ' ' ORDER BY position), '') FROM {schema}.subscription_parked`)
	}
	b.mustPut("mail", `{`+toHandler+`,"partitions":1,"after_dead":"hold"}`)
	if sweep(); positions() != "1 2 3 4" {
		t.Errorf("while later events wait behind dead letters there are those at %s", positions())
	}
	b.mustPut("mail", `{`+toHandler+`,"partitions":1}`)
	if sweep(); positions() != "1 4" {
		t.Errorf("dead letters at %s are left, want 1, with which something is wanted, and 4", positions())
	}
	if n := read[int](b, `SELECT count(*) FROM {schema}.subscription_attempts`); n != 1 {
		t.Errorf("%d attempts are left, want 1", n)
	}
	if err := b.admin().Delete(t.Context(), "mail", 0, true, "me"); err != nil {
		t.Fatal(err)
	}
	tx, err := b.db.Pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), b.sql(`SELECT FROM {schema}.subscription_parked WHERE position = 4 FOR UPDATE`)); err != nil {
		t.Fatal(err)
	}
	if sweep(); positions() != "4" {
		t.Errorf("dead letters at %s are left, want 4, which somebody has at hand", positions())
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	sweep()
	if n := read[int](b, `SELECT (SELECT count(*) FROM {schema}.subscription_parked) + (SELECT count(*) FROM {schema}.subscriptions) +
		(SELECT count(*) FROM {schema}.subscription_partitions) + (SELECT count(*) FROM {schema}.subscription_attempts)`); n != 0 {
		t.Error("something is left of what was deleted")
	}
}

// TestTooManyDeadLettersStopASubscription: those that are there, not those that were.
func TestTooManyDeadLettersStopASubscription(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.mustPut("mail", `{`+toHandler+`}`)
	seen, next := deadCounts{}, 1
	die := func(n int) {
		b.exec(`INSERT INTO {schema}.subscription_parked (subscription, position, partition, key, state, dead_at)
			SELECT $1, i, 0, 'k', 'dead', now() - interval '1 hour' + i * interval '1 ms' FROM generate_series($2::bigint, $3::bigint) i`, b.id("mail"), next, next+n-1)
		next += n
	}
	stops := func(want int) {
		t.Helper()
		stopped, err := b.sweep(t.Context(), seen)
		if err != nil || len(stopped) != want {
			t.Fatalf("stopped are %+v, %v, want %d", stopped, err, want)
		}
		if failure := b.status("mail").Failure; (failure != nil) != (want > 0) {
			t.Errorf("its failure is %+v", failure)
		}
	}
	die(maxDead - 1)
	stops(0)
	b.exec(`DELETE FROM {schema}.subscription_parked WHERE position <= 10`)
	die(5)
	stops(0)
	die(5)
	stops(0)
	die(1)
	stops(1)
}
