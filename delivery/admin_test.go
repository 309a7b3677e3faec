package delivery

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/57528e99/recount/delivery/internal/core"
	"github.com/57528e99/recount/operations"
)

func (b *bench) admin() *Admin { return NewAdmin(b.db.Pool, b.db.Schema, b.store, b.app) }

// put makes or changes a subscription from JSON.
func (b *bench) put(name, text string) (Change, error) {
	b.Helper()
	d, err := ParseDefinition([]byte(text), name)
	if err != nil {
		b.Fatal(err)
	}
	return b.admin().Put(b.Context(), d, PutOptions{Actor: "me"})
}

func (b *bench) mustPut(name, text string) Change {
	b.Helper()
	c, err := b.put(name, text)
	if err != nil {
		b.Fatal(err)
	}
	return c
}

func (b *bench) status(name string) Status {
	b.Helper()
	s, err := b.admin().Get(b.Context(), name)
	if err != nil {
		b.Fatal(err)
	}
	return s
}

func (b *bench) id(name string) int64 {
	b.Helper()
	return read[int64](b, `SELECT id FROM {schema}.subscriptions WHERE name = $1`, name)
}

// takeAll takes all partitions of a subscription with a new member.
func (b *bench) takeAll(name string) []taken {
	b.Helper()
	id, n := b.id(name), read[int](b, `SELECT partitions FROM {schema}.subscriptions WHERE name = $1`, name)
	var want []partitionKey
	for i := range n {
		want = append(want, partitionKey{id, i})
	}
	return b.taken(b.joined("owner of "+name), want...)
}

const toHandler = `"target":{"handler":{"name":"h"}}`

func TestTheSameDefinitionAgainChangesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.append("order-1")
	changes := func() int64 { return read[int64](b, `SELECT n FROM {schema}.subscription_changes`) }
	made := b.mustPut("mail", `{`+toHandler+`}`)
	if made.Done != Created || made.Revision != 1 || *made.Position != 1 {
		t.Fatalf("made %+v, want it to begin at the end, behind position 1", made)
	}
	n := changes()
	if again := b.mustPut("mail", `{`+toHandler+`,"partitions":4,"retry":{"first":"1000ms"}}`); again.Done != Unchanged || again.Revision != 1 || len(again.Fields) > 0 {
		t.Errorf("the same again: %+v", again)
	}
	if changes() != n || read[int64](b, `SELECT count(*) FROM {schema}.subscription_audit`) != 1 {
		t.Error("the same again was told to members, or written down")
	}
	// Nor is the log read, however far the start is in it.
	d, err := ParseDefinition([]byte(`{`+toHandler+`,"start":{"after_event":"0199aa00-0000-7000-8000-000000000000"}}`), "mail")
	if err != nil {
		t.Fatal(err)
	}
	if c, err := NewAdmin(b.pool, b.schema, nil, "").Put(t.Context(), d, PutOptions{}); err != nil || c.Done != Unchanged {
		t.Errorf("the same again without a log: %+v, %v", c, err)
	}
	changed := b.mustPut("mail", `{`+toHandler+`,"filter":{"type":["A"]},"retry":{"first":"2s"},"start":"beginning"}`)
	if changed.Done != Changed || changed.Revision != 2 || len(changed.Fields) != 2 || changed.Fields[0].Pointer != "/filter" ||
		changed.Fields[1].Pointer != "/retry/first" || string(changed.Fields[1].Was) != `"1s"` {
		t.Errorf("changed %+v", changed)
	}
	if text := strings.Join(changed.Effects, "\n"); !strings.Contains(text, `the filter was none and is {"type":["A"]}`) || !strings.Contains(text, `the start stays "end"`) {
		t.Errorf("effects: %s", text)
	}
	if changes() != n+1 {
		t.Error("a change was not told to members")
	}
	// Leaving the filter out would widen it.
	var invalid *InvalidError
	if _, err := b.put("mail", `{`+toHandler+`,"retry":{"first":"2s"}}`); !errors.As(err, &invalid) || invalid.Mistakes[0].Pointer != "/filter" {
		t.Errorf("without its filter: %v, want an error at /filter", err)
	}
	if c := b.mustPut("mail", `{`+toHandler+`,"retry":{"first":"2s"},"filter":null}`); c.Revision != 3 || len(c.Fields) != 1 {
		t.Errorf("with filter null: %+v", c)
	}
	if s := b.status("mail"); s.Partitions[0].Position != 1 || s.Partitions[0].Revision != 1 || s.Definition.Filter != nil || s.State != operations.NoOwner {
		t.Errorf("status %+v: no change moves a cursor", s)
	}
	if got := b.takeAll("mail"); got[0].Revision != 3 || got[0].Position != 1 {
		t.Errorf("taken %+v, want revision 3 behind position 1", got[0])
	}
	if from := read[int64](b, `SELECT from_position FROM {schema}.subscription_revision_starts WHERE revision = 3 AND partition = 0`); from != 2 {
		t.Errorf("revision 3 counts from %d, want 2", from)
	}
}

func TestChangesAreGuarded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	d, err := ParseDefinition([]byte(`{`+toHandler+`}`), "mail")
	if err != nil {
		t.Fatal(err)
	}
	put := func(a *Admin, o PutOptions) error { _, err := a.Put(t.Context(), d, o); return err }
	if err := put(b.admin(), PutOptions{IfRevision: 1}); !errors.Is(err, ErrRevision) {
		t.Errorf("put of one that must be there: %v", err)
	}
	if err := put(b.admin(), PutOptions{DryRun: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.admin().Get(t.Context(), "mail"); !errors.Is(err, ErrNotFound) {
		t.Errorf("after a dry run it is there: %v", err)
	}
	own := NewAdmin(b.db.Pool, b.db.Schema, b.store, "shop")
	if err := put(own, PutOptions{IfRevision: NotThere}); err != nil {
		t.Fatal(err)
	}
	if err := put(own, PutOptions{IfRevision: NotThere}); !errors.Is(err, ErrRevision) {
		t.Errorf("put of one that must not be there: %v", err)
	}
	if err := put(own, PutOptions{IfRevision: 2}); !errors.Is(err, ErrRevision) {
		t.Errorf("put of one at another revision: %v", err)
	}
	other := NewAdmin(b.db.Pool, b.db.Schema, b.store, "bank")
	if err := put(other, PutOptions{}); !errors.Is(err, ErrAnotherApp) {
		t.Errorf("put by another app: %v", err)
	}
	if all, err := other.List(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("another app lists %v, %v", all, err)
	}
	if _, err := other.Get(t.Context(), "mail"); !errors.Is(err, ErrAnotherApp) {
		t.Errorf("get by another app: %v", err)
	}
	for i, start := range []string{`{"position":9}`, `{"time":"2999-01-01T00:00:00Z"}`, `{"after_event":"00000000-0000-0000-0000-000000000001"}`} {
		var invalid *InvalidError
		if _, err := b.put("wrong", `{`+toHandler+`,"start":`+start+`}`); !errors.As(err, &invalid) || !strings.HasPrefix(invalid.Mistakes[0].Pointer, "/start/") {
			t.Errorf("start %d: %v", i, err)
		}
	}
}

func TestStartsAreResolvedOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for range 5 {
		b.append("order-1")
	}
	var third, fourth string
	for e, err := range b.store.ReadAll(t.Context(), readFrom(3)) {
		if err != nil {
			t.Fatal(err)
		}
		switch e.Position {
		case 3:
			third = e.ID.String()
		case 4:
			fourth = e.RecordedAt.Format("2006-01-02T15:04:05.999999999Z07:00")
		}
	}
	for start, want := range map[string]int64{
		`"beginning"`: 0, `"end"`: 5, `{"position":1}`: 0, `{"position":6}`: 5, `{"time":"2000-01-01T00:00:00Z"}`: 0,
		`{"time":"` + fourth + `"}`: 3, `{"after_event":"` + third + `"}`: 3,
	} {
		if c := b.mustPut("s"+operations.SanitizeText(strings.Map(letters, start)), `{`+toHandler+`,"start":`+start+`}`); *c.Position != want {
			t.Errorf("start %s is behind position %d, want %d", start, *c.Position, want)
		}
	}
}

func letters(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
		return r
	}
	return '-'
}

// Twice as many partitions need no barrier: each key's partition goes on where it was, with its rows.
func TestPartitionsAreDoubledInOneTransaction(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.mustPut("mail", `{`+toHandler+`,"partitions":2,"start":"beginning"}`)
	before := b.takeAll("mail")
	keys := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	var moves []move
	for i, tk := range before {
		m := move{owned: tk.owned, To: int64(100 * (i + 1))}
		for j, k := range keys {
			if core.PartitionOf(k, 2) == i {
				m.Put = append(m.Put, parkedRow{Position: int64(j + 1), Key: k, State: waiting})
			}
		}
		moves = append(moves, m)
	}
	b.moved(moves...)
	c := b.mustPut("mail", `{`+toHandler+`,"partitions":8}`)
	if !strings.Contains(strings.Join(c.Effects, ""), "2 partitions become 8") {
		t.Errorf("effects %q", c.Effects)
	}
	for i := range moves {
		moves[i].From, moves[i].To = moves[i].To, 900
	}
	if refused := b.moved(moves...); len(refused) != 2 {
		t.Errorf("owners of before were refused %v, want both", refused)
	}
	b.exec(`DELETE FROM {schema}.subscription_members`)
	rows := 0
	for i, tk := range b.takeAll("mail") {
		if want := int64(100 * (i%2 + 1)); tk.Position != want {
			t.Errorf("partition %d is at %d, want %d", i, tk.Position, want)
		}
		for _, row := range tk.Rows {
			rows++
			if core.PartitionOf(row.Key, 8) != i {
				t.Errorf("partition %d has a row of key %s", i, row.Key)
			}
		}
		if slices.ContainsFunc(before, func(o taken) bool { return o.Epoch >= tk.Epoch }) {
			t.Errorf("epoch %d is not above those of before", tk.Epoch)
		}
	}
	if rows != len(keys) {
		t.Errorf("%d rows, want %d", rows, len(keys))
	}
}

func TestPartitionsAreHalvedAtABarrier(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := func() int64 { return b.id("mail") }
	halve := func() {
		t.Helper()
		if err := b.halve(t.Context(), id()); err != nil {
			t.Fatal(err)
		}
	}
	b.mustPut("mail", `{`+toHandler+`,"partitions":4,"start":"beginning"}`)
	own := b.takeAll("mail")
	move1 := func(i int, from, to, read int64) {
		t.Helper()
		if refused := b.moved(move{owned: own[i].owned, From: from, To: to}); len(refused) > 0 {
			t.Fatal("refused")
		}
		if err := b.tell(t.Context(), []told{{owned: own[i].owned, ReadTo: read}}); err != nil {
			t.Fatal(err)
		}
	}
	move1(3, 0, 7, 0)
	b.mustPut("mail", `{`+toHandler+`,"partitions":1}`)
	move1(0, 0, 3, 5)
	move1(1, 0, 4, 4)
	move1(2, 0, 0, 9)
	halve()
	if s := b.status("mail"); s.Halving == nil || s.Halving.To != 1 || s.Halving.Barrier != 0 || !slices.Equal(s.Halving.Missing, []int{3}) {
		t.Errorf("while one has not said how far it has read: %+v", s.Halving)
	}
	move1(3, 7, 7, 8)
	halve()
	if s := b.status("mail"); s.Halving.Barrier != 9 {
		t.Fatalf("the barrier is %d, want 9, the highest that was read", s.Halving.Barrier)
	}
	for i, from := range []int64{3, 4, 0} {
		move1(i, from, 9, 0)
	}
	halve()
	if s := b.status("mail"); len(s.Partitions) != 4 || !slices.Equal(s.Halving.Missing, []int{3}) {
		t.Errorf("before all are there: %+v", s.Halving)
	}
	move1(3, 7, 9, 0)
	halve()
	s := b.status("mail")
	if s.Halving != nil || len(s.Partitions) != 1 || s.Partitions[0].Position != 9 || s.Partitions[0].Owner != "" || s.Partitions[0].Epoch <= own[3].Epoch {
		t.Errorf("halved it is %+v", s)
	}
	// One that is under way is cancelled by what it has now.
	b.mustPut("mail", `{`+toHandler+`,"partitions":4}`)
	own = b.takeAll("mail")
	move1(3, 9, 11, 0)
	b.mustPut("mail", `{`+toHandler+`,"partitions":2}`)
	c := b.mustPut("mail", `{`+toHandler+`,"partitions":4}`)
	if s := b.status("mail"); s.Halving != nil || len(s.Partitions) != 4 || !strings.Contains(strings.Join(c.Effects, ""), "cancelled") {
		t.Errorf("cancelled it is %+v, %q", s.Halving, c.Effects)
	}
}

func TestTheKeyChangesOnlyWhereNothingIsUnderWay(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.mustPut("mail", `{`+toHandler+`,"partitions":2,"start":"beginning"}`)
	if c := b.mustPut("mail", `{`+toHandler+`,"partitions":2,"key":"none"}`); c.Revision != 2 {
		t.Errorf("before anything was delivered: %+v", c)
	}
	own := b.takeAll("mail")
	change := func() error { _, err := b.put("mail", `{`+toHandler+`,"partitions":2}`); return err }
	if err := change(); !errors.Is(err, ErrKeyChange) {
		t.Errorf("while somebody delivers: %v", err)
	}
	b.moved(move{owned: own[0].owned, To: 5}, move{owned: own[1].owned, To: 6})
	b.exec(`DELETE FROM {schema}.subscription_members`)
	if err := change(); !errors.Is(err, ErrKeyChange) {
		t.Errorf("at different cursors: %v", err)
	}
	b.moved(move{owned: own[0].owned, From: 5, To: 6, Put: []parkedRow{{Position: 2, Key: "2", State: blocked}}})
	if err := change(); !errors.Is(err, ErrKeyChange) {
		t.Errorf("with a parked event: %v", err)
	}
	b.moved(move{owned: own[0].owned, From: 6, To: 6, Remove: []int64{2}})
	if err := change(); err != nil {
		t.Errorf("where nothing is under way: %v", err)
	}
	if refused := b.moved(move{owned: own[0].owned, From: 6, To: 7}); len(refused) != 1 {
		t.Error("an owner of before was not refused")
	}
}

// TestAResetToTheEndRepeatsNothing, though events are delivered while it waits for the partitions.
func TestAResetToTheEndRepeatsNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.mustPut("mail", `{`+toHandler+`,"partitions":1}`)
	tx, err := b.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	if _, err := tx.Exec(t.Context(), b.sql(`SELECT FROM {schema}.subscription_partitions FOR UPDATE`)); err != nil {
		t.Fatal(err)
	}
	done := make(chan Reset)
	go func() {
		defer close(done)
		r, err := b.admin().Reset(t.Context(), "mail", ResetOptions{To: Start{At: AtEnd}, Reason: "to see", Actor: "me"})
		if err != nil {
			t.Error(err)
		}
		done <- r
	}()
	b.eventually(func() error {
		if read[int](b, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) == 0 {
			return errors.New("the reset does not wait")
		}
		return nil
	})
	last := b.append("a-1")
	if _, err := tx.Exec(t.Context(), b.sql(`UPDATE {schema}.subscription_partitions SET position = $1`), last); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := <-done; r.Position != last || r.Lowest != last {
		t.Errorf("reset %+v, want the cursor to stay at %d", r, last)
	}
}

func TestResetSaysWhatItRepeatsAndSkips(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for i := range 10 {
		b.append([]string{"a-1", "b-1"}[i%2])
	}
	b.mustPut("mail", `{`+toHandler+`,"partitions":1,"start":"beginning","filter":{"stream":["a-1"]}}`)
	own := b.takeAll("mail")[0]
	b.moved(move{owned: own.owned, To: 8, Put: []parkedRow{{Position: 3, Key: "a-1", State: waiting}, {Position: 7, Key: "a-1", State: dead}}})
	reset := func(to string, dry bool) Reset {
		t.Helper()
		var s Start
		if err := s.UnmarshalJSON([]byte(to)); err != nil {
			t.Fatal(err)
		}
		r, err := b.admin().Reset(t.Context(), "mail", ResetOptions{To: s, DryRun: dry, Reason: "to see", Actor: "me"})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := reset(`{"position":5}`, true); *r.Repeated != 2 || *r.Skipped != 0 || r.Parked != 0 || r.Dead != 1 || r.Position != 4 {
		t.Errorf("dry run: %+v, want 5 and 7 again", r)
	}
	if s := b.status("mail"); s.Partitions[0].Position != 8 || s.Dead != 1 {
		t.Errorf("a dry run did something: %+v", s)
	}
	reset(`{"position":5}`, false)
	if s := b.status("mail"); s.Partitions[0].Position != 4 || s.Dead != 0 || s.Parked != 1 || s.Partitions[0].Owner != "" {
		t.Errorf("reset to 5: %+v", s)
	}
	if refused := b.moved(move{owned: own.owned, From: 8, To: 9}); len(refused) != 1 {
		t.Error("the owner of before was not refused")
	}
	if r := reset(`"end"`, true); *r.Skipped != 3 || *r.Repeated != 0 {
		t.Errorf("dry run ahead: %+v, want 5, 7 and 9 skipped", r)
	}
	reset(`"end"`, false)
	if n := read[string](b, `SELECT string_agg(from_position || '-' || to_position, ' ') FROM {schema}.subscription_skips`); n != "5-10" {
		t.Errorf("skipped %s", n)
	}
	reset(`{"position":8}`, false)
	if n := read[string](b, `SELECT string_agg(from_position || '-' || to_position, ' ') FROM {schema}.subscription_skips`); n != "5-7" {
		t.Errorf("skipped %s after a reset to 8", n)
	}
	reset(`{"position":9}`, false) // which leaves out 8 alone, until:
	reset(`{"position":8}`, false)
	if n := read[string](b, `SELECT string_agg(from_position || '-' || to_position, ' ') FROM {schema}.subscription_skips`); n != "5-7" {
		t.Errorf("skipped %s after another reset to 8", n)
	}
	if again := b.takeAll("mail")[0]; again.Position != 7 || again.Skips != nil {
		t.Errorf("behind %d, %v are left out, want none behind 7", again.Position, again.Skips)
	}
	all, err := b.admin().Audit(t.Context(), "mail", 10)
	if err != nil || len(all) != 6 || all[2].Action != "reset" || !strings.Contains(all[2].Detail, "repeats positions 8 to 10") {
		t.Errorf("audit %+v, %v", all, err)
	}
}

func TestPauseStopSkipAndDelete(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.append("a-1")
	ctx, a := t.Context(), b.admin()
	b.mustPut("mail", `{`+toHandler+`,"partitions":1,"start":"beginning"}`)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		must(a.Pause(ctx, "mail", "me"))
	}
	if s := b.status("mail"); s.State != operations.Paused || !s.Definition.Paused || s.Revision != 1 || *s.LagEvents != 1 {
		t.Errorf("paused it is %+v", s)
	}
	if got := b.takeAll("mail"); len(got) != 0 {
		t.Error("somebody took what is paused")
	}
	if _, err := a.Skip(ctx, "mail", 0, "broken", "me"); !errors.Is(err, ErrNotStopped) {
		t.Errorf("skip of what has not stopped: %v", err)
	}
	must(a.Resume(ctx, "mail", "me"))
	own := b.takeAll("mail")[0]
	_, err := b.stop(ctx, own.owned, failure{Position: 1, Error: "gone", Reason: "target-gone"})
	must(err)
	if s := b.status("mail"); s.State != operations.Failed || s.Failure.Position != 1 || s.Failure.Error != "gone" {
		t.Errorf("stopped it is %+v", s)
	}
	if _, err := a.Skip(ctx, "mail", 2, "broken", "me"); !errors.Is(err, ErrNotStopped) {
		t.Errorf("skip of another event: %v", err)
	}
	if p, err := a.Skip(ctx, "mail", 1, "broken", "me"); err != nil || p != 1 {
		t.Errorf("skip = %d, %v", p, err)
	}
	b.exec(`DELETE FROM {schema}.subscription_members`)
	own = b.takeAll("mail")[0]
	if !own.Skips[1] {
		t.Errorf("who takes it does not learn what to skip: %+v", own)
	}
	b.moved(move{owned: own.owned, To: 1, Put: []parkedRow{{Position: 1, Key: "k", State: dead}}})
	if err := a.Delete(ctx, "mail", 0, false, "me"); !errors.Is(err, ErrHasDeadLetters) {
		t.Errorf("delete with dead letters: %v", err)
	}
	must(a.Delete(ctx, "mail", 0, true, "me"))
	if refused := b.moved(move{owned: own.owned, From: 1, To: 2}); len(refused) != 1 {
		t.Error("the owner of what is deleted was not refused")
	}
	if c := b.mustPut("mail", `{`+toHandler+`}`); c.Done != Created {
		t.Errorf("made again: %+v", c)
	}
	if s := b.status("mail"); s.Dead != 0 {
		t.Errorf("made again it has %d dead letters", s.Dead)
	}
	for err, what := range map[error]string{a.Pause(ctx, "none", "me"): "pause", a.Resume(ctx, "none", "me"): "resume", a.Delete(ctx, "none", 0, true, "me"): "delete"} {
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("%s of what is not there: %v", what, err)
		}
	}
}

// Several processes declare a subscription when they start: the first makes it, and its start holds.
func TestManyMayDeclareASubscriptionAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.append("order-1")
	var wait sync.WaitGroup
	var created atomic.Int64
	for i := range 8 {
		wait.Go(func() {
			d := Definition{Name: "mail", Target: TargetConfig{Handler: &HandlerTarget{"h"}}, Start: Start{At: []string{AtBeginning, AtEnd}[i%2]}}
			c, err := b.admin().Put(t.Context(), d, PutOptions{Declared: true})
			switch {
			case err != nil:
				t.Error(err)
			case c.Done == Created:
				created.Add(1)
			case c.Done != Unchanged:
				t.Errorf("put says %+v", c)
			}
		})
	}
	wait.Wait()
	if created.Load() != 1 || len(b.status("mail").Partitions) != 4 {
		t.Errorf("it was made %d times", created.Load())
	}
	// An operator's pause, and number of partitions, outlive what programs declare.
	if err := b.admin().Pause(t.Context(), "mail", "me"); err != nil {
		t.Fatal(err)
	}
	b.mustPut("mail", `{`+toHandler+`,"partitions":8,"paused":true}`)
	c, err := b.admin().Put(t.Context(), Definition{Name: "mail", Target: TargetConfig{Handler: &HandlerTarget{"h"}}, Start: Start{At: AtEnd}}, PutOptions{Declared: true})
	if s := b.status("mail"); err != nil || c.Done != Unchanged || !s.Definition.Paused || len(s.Partitions) != 8 {
		t.Errorf("declared again: %+v, %v; it is %+v", c, err, s.Definition)
	}
}
