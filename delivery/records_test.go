package delivery

import (
	"errors"
	"testing"
	"time"

	"github.com/57528e99/recount/eventstore"
)

// subscribe writes a subscription with partitions at a position.
func (b *bench) subscribe(name string, partitions int, position int64) (id int64) {
	b.Helper()
	d, err := Definition{Name: name, Partitions: partitions, Target: TargetConfig{Handler: &HandlerTarget{"h"}}}.Checked()
	if err != nil {
		b.Fatal(err)
	}
	text, err := d.JSON()
	if err != nil {
		b.Fatal(err)
	}
	id = read[int64](b, `INSERT INTO {schema}.subscriptions (name, app, definition, needs, partitions, start_position, created_by)
		VALUES ($1, '', $2, $3, $4, $5, 'test') RETURNING id`, name, string(text), d.Target.needs(), partitions, position)
	b.exec(`INSERT INTO {schema}.subscription_revisions (subscription, revision, definition, made_by) VALUES ($1, 1, $2, 'test')`, id, string(text))
	at := b.head()
	b.exec(`INSERT INTO {schema}.subscription_partitions (subscription, partition, log_id, incarnation, position)
		SELECT $1, n, $2, $3, $4 FROM generate_series(0, $5 - 1) n`, id, at.Log, at.Incarnation, position, partitions)
	return id
}

func (b *bench) joined(process string) member {
	b.Helper()
	m, err := b.join(b.Context(), process, []string{"handler:h"})
	if err != nil {
		b.Fatal(err)
	}
	return m
}

func (b *bench) taken(m member, want ...partitionKey) []taken {
	b.Helper()
	all, err := b.take(b.Context(), m, b.head(), want)
	if err != nil {
		b.Fatal(err)
	}
	return all
}

func (b *bench) moved(moves ...move) []partitionKey {
	b.Helper()
	refused, err := b.move(b.Context(), b.head(), moves)
	if err != nil {
		b.Fatal(err)
	}
	return refused
}

func TestOwnersMoveWhatIsTheirs(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := b.subscribe("mail", 2, 5)
	first, second := b.joined("first"), b.joined("second")
	p0, p1 := partitionKey{id, 0}, partitionKey{id, 1}
	mine := b.taken(first, p0, p1)
	if len(mine) != 2 || mine[0].Epoch == mine[1].Epoch || mine[0].Position != 5 || mine[0].Definition.Name != "mail" {
		t.Fatalf("taken %+v", mine)
	}
	if other := b.taken(second, p0, p1); len(other) != 0 {
		t.Fatalf("another took what a member has that is alive: %+v", other)
	}
	failed := time.Now().UTC().Truncate(time.Microsecond)
	row := parkedRow{Position: 7, Key: "k", State: waiting, Attempts: 2, Charged: 1, NextAttempt: failed.Add(time.Minute), Class: "transient",
		Error: "no\x00", FirstFailed: failed, LastFailed: failed}
	m := move{owned: mine[0].owned, Number: 1, From: 5, To: 9, Matched: 3, Delivered: 2, Put: []parkedRow{row}, LastEventAt: failed, Report: &report{InFlight: 1}}
	for range 2 { // the second is one whose first answer was lost
		if refused := b.moved(m, move{owned: mine[1].owned, From: 5, To: 9}); len(refused) != 0 {
			t.Fatalf("refused %v", refused)
		}
	}
	if err := b.giveBack(t.Context(), []owned{mine[0].owned}); err != nil {
		t.Fatal(err)
	}
	heirs := b.taken(second, p0, p1)
	row.Error = "no?"
	if len(heirs) != 1 || heirs[0].Position != 9 || len(heirs[0].Rows) != 1 || heirs[0].Rows[0] != row {
		t.Fatalf("the heir finds %+v, want position 9 and %+v", heirs, row)
	}
	if n := read[int64](b, `SELECT matched * 10 + delivered FROM {schema}.subscription_partitions WHERE subscription = $1 AND partition = 0`, id); n != 32 {
		t.Errorf("matched and delivered are %d, want 32", n)
	}
	// What is refused is refused alone, with all that it has.
	refused := b.moved(move{owned: mine[0].owned, From: 9, To: 12, Remove: []int64{7}, Put: []parkedRow{{Position: 11, Key: "k", State: dead}}},
		move{owned: mine[1].owned, From: 9, To: 12})
	if len(refused) != 1 || refused[0] != p0 {
		t.Errorf("refused %v, want %v", refused, p0)
	}
	if n := read[int64](b, `SELECT sum(position) FROM {schema}.subscription_parked`); n != 7 {
		t.Errorf("rows at %d, want 7", n)
	}
	if refused := b.moved(move{owned: heirs[0].owned, From: 9, To: 12, Remove: []int64{7}}); len(refused) != 0 {
		t.Errorf("the heir was refused")
	}
	if n := read[int64](b, `SELECT count(*) FROM {schema}.subscription_parked`); n != 0 {
		t.Errorf("%d rows are left", n)
	}
	tx, err := b.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	if err := b.moveInTx(t.Context(), tx, b.head(), move{owned: mine[0].owned, From: 12, To: 13}); !errors.Is(err, errLost) {
		t.Errorf("a move in a transaction of who has lost it: %v, want errLost", err)
	}
}

func TestMembersThatAreLateAreGone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := b.subscribe("mail", 1, 0)
	first, second := b.joined("first"), b.joined("second")
	mine := b.taken(first, partitionKey{id, 0})
	if _, alive, err := b.renew(t.Context(), first, 0); err != nil || len(alive) != 2 || alive[0].ID != first.ID || alive[1].CanRun[0] != "handler:h" {
		t.Fatalf("renew = %+v, %v", alive, err)
	}
	// Its time is over, or was given by a clock that was set back.
	for _, shift := range []string{"-1 second", "1 hour"} {
		b.exec(`UPDATE {schema}.subscription_members SET expires_at = now() + $2::interval WHERE id = $1`, first.ID, shift)
		if _, _, err := b.renew(t.Context(), first, 0); !errors.Is(err, errLost) {
			t.Errorf("renew of one that expires in %s: %v, want errLost", shift, err)
		}
		if got := b.taken(first, partitionKey{id, 0}); len(got) != 0 {
			t.Errorf("one that expires in %s took %+v", shift, got)
		}
	}
	_, all, err := b.look(t.Context())
	if err != nil || len(all) != 1 || all[0].Members[0] != first.ID || !all[0].Running || all[0].Needs != "handler:h" {
		t.Fatalf("look = %+v, %v", all, err)
	}
	heirs := b.taken(second, partitionKey{id, 0})
	if len(heirs) != 1 || heirs[0].Epoch <= mine[0].Epoch {
		t.Fatalf("the heir took %+v", heirs)
	}
	if refused := b.moved(move{owned: mine[0].owned, To: 3}); len(refused) != 1 {
		t.Error("the move of who is gone was not refused")
	}
}

func TestWishesAreKeptUntilTheyAreCarriedOut(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := b.subscribe("mail", 1, 0)
	k := partitionKey{id, 0}
	o := b.taken(b.joined("first"), k)[0].owned
	row := parkedRow{Position: 3, Key: "k", State: dead, Class: "permanent"}
	b.moved(move{owned: o, To: 5, Put: []parkedRow{row}})
	b.exec(`UPDATE {schema}.subscription_parked SET wanted = 'redrive', wanted_by = 'me'`)
	found, _, err := b.wanted(t.Context(), []partitionKey{k}, 10)
	if err != nil || len(found[k]) != 1 || found[k][0] != (wantedRow{row, wantRedrive}) {
		t.Fatalf("wanted = %+v, %v", found, err)
	}
	// What the owner does before it has heard of it changes nothing of the wish, nor does one of another kind.
	b.moved(move{owned: o, From: 5, To: 5, Put: []parkedRow{row}, Done: map[int64]wish{3: wantRetry}})
	if w := read[string](b, `SELECT wanted FROM {schema}.subscription_parked`); w != "redrive" {
		t.Errorf("wanted is %q", w)
	}
	row.State, row.Redrive = waiting, true
	b.moved(move{owned: o, From: 5, To: 5, Put: []parkedRow{row}, Done: map[int64]wish{3: wantRedrive}})
	if w := read[string](b, `SELECT coalesce(wanted, 'none') || state FROM {schema}.subscription_parked`); w != "nonewaiting" {
		t.Errorf("it is %q", w)
	}
}

func TestStopIsForAllAndOnlyByTheOwner(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := b.subscribe("mail", 2, 0)
	m := b.joined("first")
	mine := b.taken(m, partitionKey{id, 0}, partitionKey{id, 1})
	before, _, err := b.look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.stop(t.Context(), owned{mine[0].partitionKey, mine[0].Epoch - 1}, failure{Error: "late"}); !errors.Is(err, errLost) {
		t.Errorf("a stop by who has lost the partition: %v, want errLost", err)
	}
	for i, text := range []string{"gone", "gone too"} {
		if _, err := b.stop(t.Context(), mine[i].owned, failure{Position: 7, Error: text, Reason: "target-gone"}); err != nil {
			t.Fatal(err)
		}
	}
	after, all, err := b.look(t.Context())
	if err != nil || after != before+1 || all[0].Running {
		t.Errorf("look = %d, %+v, %v, want change %d and one that does not run", after, all, err, before+1)
	}
	if text := read[string](b, `SELECT failure FROM {schema}.subscriptions`); text != "gone" {
		t.Errorf("it stopped for %q, want the first", text)
	}
	if err := b.tell(t.Context(), []told{{owned: mine[0].owned, Trouble: "full"}}); err != nil {
		t.Fatal(err)
	}
	if err := b.recordAttempts(t.Context(), "first", []attempt{{Subscription: id, Position: 7, Attempt: 1, At: time.Now(), Took: time.Second, Outcome: "gone", Status: 410, Error: "no"}}); err != nil {
		t.Fatal(err)
	}
	if text := read[string](b, `SELECT trouble || took || status FROM {schema}.subscription_partitions, {schema}.subscription_attempts WHERE partition = 0`); text != "full1000000410" {
		t.Errorf("kept %q", text)
	}
	if err := b.leave(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	b.exec(`UPDATE {schema}.subscriptions SET stopped_at = NULL`)
	if got := b.taken(b.joined("second"), partitionKey{id, 0}, partitionKey{id, 1}); len(got) != 2 || got[0].Revision != 1 {
		t.Errorf("who left does not leave its partitions: %+v", got)
	}
	if d, err := b.definition(t.Context(), id, 1); err != nil || d.Name != "mail" {
		t.Errorf("definition = %+v, %v", d, err)
	}
}

// A restore brings epochs back: an owner of before must not move a cursor past the end of the log, neither before the
// log is adopted nor after it.
func TestAfterARestoreNothingThatIsLostCounts(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := b.subscribe("mail", 2, 0)
	for range 3 {
		b.append("order-1")
	}
	before := b.head()
	m := b.joined("first")
	mine := b.taken(m, partitionKey{id, 0}, partitionKey{id, 1})
	b.moved(move{owned: mine[0].owned, To: 2, Put: []parkedRow{{Position: 1, Key: "a", State: waiting}}})
	b.moved(move{owned: mine[1].owned, To: 9, Put: []parkedRow{{Position: 8, Key: "a", State: dead}}})
	// Positions of a change feed are none of the log's.
	feed := b.subscribe("feed", 1, 0)
	b.exec(`UPDATE {schema}.subscriptions SET changes_of = 'orders' WHERE id = $1`, feed)
	b.moved(move{owned: b.taken(m, partitionKey{feed, 0})[0].owned, To: 9, Put: []parkedRow{{Position: 8, Key: "a", State: dead}}})

	b.exec(`UPDATE {schema}.log_incarnations SET system_identifier = 1`)
	if refused := b.moved(move{owned: mine[0].owned, From: 2, To: 900}); len(refused) != 1 {
		t.Error("a move in a database that is not adopted was not refused")
	}
	if _, err := b.take(t.Context(), m, before, []partitionKey{{id, 0}}); !errors.Is(err, eventstore.ErrLogMoved) {
		t.Errorf("take in a database that is not adopted: %v, want ErrLogMoved", err)
	}
	if _, lastCommon, err := b.store.Adopt(t.Context()); err != nil || lastCommon != 3 {
		t.Fatalf("Adopt = %d, %v", lastCommon, err)
	}
	for _, at := range []eventstore.Token{before, b.head()} {
		refused, err := b.move(t.Context(), at, []move{{owned: mine[0].owned, From: 2, To: 900}})
		if err != nil || len(refused) != 1 {
			t.Errorf("a move of an owner of before at incarnation %d: refused %v, %v", at.Incarnation, refused, err)
		}
	}
	heirs := b.taken(b.joined("second"), partitionKey{id, 0}, partitionKey{id, 1})
	if len(heirs) != 2 || heirs[0].Position != 2 || len(heirs[0].Rows) != 1 || heirs[1].Position != 3 || len(heirs[1].Rows) != 0 {
		t.Errorf("the heir finds %+v, want positions 2 and 3, and the row at 1", heirs)
	}
	if n := read[int64](b, `SELECT count(*) FROM {schema}.subscription_parked WHERE subscription = $1`, id); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
	heirs = b.taken(b.joined("third"), partitionKey{feed, 0})
	if n := read[int64](b, `SELECT count(*) FROM {schema}.subscription_parked WHERE subscription = $1`, feed); len(heirs) != 1 || heirs[0].Position != 9 || n != 1 {
		t.Errorf("the heir of the feed finds %+v with %d rows, want position 9 and its row", heirs, n)
	}
}

// A subscription that is deleted and made again has other epochs and another id: who had the one of before, frozen all the
// while, writes nothing.
func TestEpochsNeverBeginAnew(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	frozen := b.taken(b.joined("frozen"), partitionKey{b.subscribe("mail", 1, 0), 0})[0]
	b.exec(`DELETE FROM {schema}.subscriptions`)
	again := b.subscribe("mail", 1, 0)
	heir := b.taken(b.joined("heir"), partitionKey{again, 0})[0]
	if heir.Epoch <= frozen.Epoch || again == frozen.Subscription {
		t.Errorf("epoch %d of subscription %d after %d of %d", heir.Epoch, again, frozen.Epoch, frozen.Subscription)
	}
	// Not even if its partition had the same key.
	if refused := b.moved(move{owned: owned{heir.partitionKey, frozen.Epoch}, To: 900}); len(refused) != 1 {
		t.Error("the frozen owner's move was not refused")
	}
}

// Moves commit asynchronously: a server that crashes loses the last, with their rows. Who made them must not go on behind
// them, or what had those rows is neither delivered nor parked; that holds for moves of rows alone as well.
func TestAMoveBehindOneThatWasLostIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lost int64 // to where it moved
		next move
	}{
		"the cursor":       {5, move{From: 5, To: 8}},
		"the cursor again": {5, move{From: 5, To: 5, Remove: []int64{4}}},
		"rows alone":       {2, move{From: 2, To: 8}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			id := b.subscribe("mail", 1, 0)
			o := b.taken(b.joined("first"), partitionKey{id, 0})[0].owned
			b.moved(move{owned: o, Number: 1, To: 2, Put: []parkedRow{{Position: 1, Key: "a", State: waiting}}})
			const state = `UPDATE {schema}.subscription_partitions SET position = 2, moves = 1`
			lost := move{owned: o, Number: 2, From: 2, To: c.lost, Matched: 1, Delivered: 1, Put: []parkedRow{{Position: 2, Key: "b", State: waiting}}}
			for range 2 { // it is made again by who does not know what became of it
				if refused := b.moved(lost); len(refused) != 0 {
					t.Fatal("a move was refused")
				}
			}
			if n := read[int64](b, `SELECT matched + delivered FROM {schema}.subscription_partitions`); n != 2 {
				t.Errorf("what was made twice was counted %d times, want 2", n)
			}
			b.exec(state)
			b.exec(`DELETE FROM {schema}.subscription_parked WHERE position = 2`)
			c.next.owned, c.next.Number = o, 3
			if refused := b.moved(c.next); len(refused) != 1 {
				t.Error("the move behind it was not refused")
			}
			if refused := b.moved(lost); len(refused) != 0 {
				t.Error("what was lost cannot be made again")
			}
		})
	}
}

// Who waits for a partition reads its cursor and rows as they are when the wait is over.
func TestAHeirReadsWhatItWaitedFor(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := b.subscribe("mail", 1, 0)
	first := b.joined("first")
	mine := b.taken(first, partitionKey{id, 0})[0]
	b.exec(`UPDATE {schema}.subscription_members SET expires_at = now() - interval '1 second'`)
	second := b.joined("second")
	tx, err := b.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	if err := b.moveInTx(t.Context(), tx, b.head(), move{owned: mine.owned, To: 5, Put: []parkedRow{{Position: 4, Key: "a", State: waiting}}}); err != nil {
		t.Fatal(err)
	}
	// Held by a move, it is left alone; a process that dies in the middle of one holds up nobody's other partitions.
	if got := b.taken(second, partitionKey{id, 0}); len(got) != 0 {
		t.Fatalf("took %+v, which a move is at", got)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := b.taken(second, partitionKey{id, 0})
	if len(got) != 1 || got[0].Position != 5 || len(got[0].Rows) != 1 {
		t.Errorf("the heir finds %+v, want position 5 and the row at 4", got)
	}
}

// What gives epochs or ids is durable when it returns: a server that crashed would give them again. Moves need not be.
func TestWhatGivesEpochsCommitsDurably(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := b.subscribe("mail", 1, 0)
	// Commits are noted by deferred triggers, which run as the last part of a transaction.
	b.exec(`CREATE TABLE public.commits (what text, setting text);
CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO public.commits VALUES (TG_TABLE_NAME || '/' || coalesce(to_jsonb(NEW) ->> 'epoch', ''), current_setting('synchronous_commit')); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER note AFTER UPDATE ON {schema}.subscription_partitions DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.note();
CREATE CONSTRAINT TRIGGER note AFTER INSERT ON {schema}.subscription_members DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.note();`)
	b.exec(`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database()); END $$`)
	b.pool.Reset()
	mine := b.taken(b.joined("first"), partitionKey{id, 0})[0]
	b.exec(`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = on', current_database()); END $$`)
	b.pool.Reset()
	b.moved(move{owned: mine.owned, To: 1})
	if got := read[string](b, `SELECT string_agg(split_part(what, '/', 1) || ' ' || setting, ', ' ORDER BY ctid) FROM public.commits`); got !=
		"subscription_members on, subscription_partitions on, subscription_partitions off" {
		t.Errorf("commits: %s", got)
	}
}
