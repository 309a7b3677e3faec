package projections

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/operations"
)

// corrupt is what a broken row has too much.
const corrupt = 1_000_000

// image is an account as a feed has it.
type image struct {
	Owner    *string   `json:"owner"`
	Balance  int64     `json:"balance"`
	OpenedAt time.Time `json:"opened_at"`
	Notes    []string  `json:"notes"`
	Touched  int32     `json:"touched"`
}

// imageText returns an account as text that can be compared; empty: there is none.
func imageText(a account, there bool) string {
	if !there {
		return ""
	}
	text, err := json.Marshal(image(a))
	if err != nil {
		panic(err)
	}
	return string(text)
}

// changedRow is a change of a row.
type changedRow struct{ key, old, new string }

// feedOf reads the feed of a projection of accounts, and what is wrong with its form.
func (b *bench) feedOf(projection string) (feed []eventstore.RecordedEvent, err error) {
	for e, err := range NewChangeLog(b.pool(), b.db.Schema, b.store, projection, NewAndOld).ReadAll(b.Context(), eventstore.ReadOptions{PageSize: 7}) {
		if err != nil {
			return nil, err
		}
		if e.Position != int64(len(feed)+1) {
			return nil, fmt.Errorf("change %d of the feed has the number %d", len(feed)+1, e.Position)
		}
		if n := len(feed); n > 0 && (e.Version < feed[n-1].Version || e.RecordedAt.Before(feed[n-1].RecordedAt)) {
			return nil, fmt.Errorf("change %d goes back: to position %d, %s", e.Position, e.Version, e.RecordedAt)
		}
		feed = append(feed, e)
	}
	return feed, nil
}

// compareFeed compares the feed with the differences of rows that a plain fold of the log makes event by event, without the
// events that were skipped. Repairs bring back what rows were.
func (b *bench) compareFeed(f *Fold[string, account]) error {
	want := make(map[int64]map[changedRow]int)
	rows := make(map[string]account)
	for _, e := range b.events() {
		before := maps.Clone(rows)
		model(b.codec, rows, e)
		for _, key := range []string{"1", "2", "3", "4", "5"} {
			was, old := before[key]
			is, now := rows[key]
			if c := (changedRow{key, imageText(was, old), imageText(is, now)}); c.old != c.new {
				if want[e.Position] == nil {
					want[e.Position] = make(map[changedRow]int)
				}
				want[e.Position][c]++
			}
		}
	}
	feed, err := b.feedOf(f.Name())
	if err != nil {
		return err
	}
	ids := make(map[string]bool)
	copied := make(map[string]string)
	for _, e := range feed {
		var c Change
		if err := json.Unmarshal(e.Data, &c); err != nil {
			return err
		}
		if ids[e.ID.String()] {
			return fmt.Errorf("change %d has the id of another", e.Position)
		}
		ids[e.ID.String()] = true
		if c.Kind == Replaced {
			if c.Rows == nil || c.Rows.MissingFrom != 0 || e.Type != "$RowsReplaced" {
				return fmt.Errorf("change %d says that changes are missing: %s", e.Position, e.Data)
			}
			continue
		}
		var key struct{ ID string }
		if err := json.Unmarshal(c.Key, &key); err != nil || e.Stream != f.Name()+"-"+key.ID || c.Position != e.Version {
			return fmt.Errorf("change %d is in stream %s and is %s (%v)", e.Position, e.Stream, e.Data, err)
		}
		got := changedRow{key: key.ID}
		var broken bool
		for from, to := range map[*json.RawMessage]*string{&c.Old: &got.old, &c.New: &got.new} {
			if *from != nil {
				var i image
				if err := json.Unmarshal(*from, &i); err != nil {
					return err
				}
				broken = broken || i.Balance > corrupt/2
				*to = imageText(account(i), true)
			}
		}
		kinds := map[bool]ChangeKind{got.old == "": Inserted, got.new == "": Removed}
		if kind := kinds[true]; kind != "" && kind != c.Kind || kind == "" && c.Kind != Modified {
			return fmt.Errorf("change %d is of kind %s: %s", e.Position, c.Kind, e.Data)
		}
		switch {
		case broken && copied[got.key] != got.new:
			return fmt.Errorf("change %d repairs row %s to %s, it was %s", e.Position, got.key, got.new, copied[got.key])
		case broken:
		case copied[got.key] != got.old:
			return fmt.Errorf("change %d is of a row %s, which was %s", e.Position, got.old, copied[got.key])
		case want[c.Position][got] != 1:
			return fmt.Errorf("change %d is not what the event at position %d does, which is %v: %+v", e.Position, c.Position, want[c.Position], got)
		default:
			delete(want[c.Position], got)
		}
		copied[got.key] = got.new
	}
	for position, left := range want {
		if len(left) > 0 {
			return fmt.Errorf("the feed lacks what the event at position %d does: %v", position, left)
		}
	}
	return nil
}

// breakAndRepair breaks a row, which has the checkpoint for itself, and has it repaired.
func (b *bench) breakAndRepair(r *Runner, f *Fold[string, account], key string) error {
	s := b.serving(f.Name())
	table := tableName{b.db.Schema, s.Table}.String()
	if _, err := b.pool().Exec(b.Context(), `UPDATE `+table+` SET balance = balance + $2 WHERE id = $1`, key, corrupt); err != nil {
		return err
	}
	op, err := r.Run(b.Context(), operations.Request{Kind: Repair, Subject: f.Name(), Actor: "test", Options: operations.Options{Key: key}}, nil)
	if err == nil && op.State != operations.Done {
		err = fmt.Errorf("the repair ended as %+v", op)
	}
	return err
}

// release starts a runner of the next version, waits until the view shows that, and stops the one of before: first or last.
func (b *bench) release(start func(version int) *Runner, version int, before *Runner, first bool) *Runner {
	b.Helper()
	if first {
		b.stop(before)
	}
	if first {
		// The rows of the next version are ahead of those in view when they take their place.
		b.append("account-2", deposited{Amount: 3, Note: "between"})
	}
	next := start(version)
	b.eventually(func() error {
		all, err := b.admin.Show(b.Context(), next.workers[0].projection.Name())
		if err != nil {
			return err
		}
		for _, s := range all {
			if s.State == operations.Failed {
				if _, err := b.admin.Skip(b.Context(), s.Projection, s.Failure.Position, "history", "test"); err != nil && !strings.Contains(err.Error(), "not failed") {
					return err
				}
			}
			if s.InView && s.Version == version {
				return nil
			}
		}
		return fmt.Errorf("the view does not show version %d: %+v", version, all)
	})
	if !first {
		b.stop(before)
	}
	return next
}

// TestAFeedSaysWhatItLacks: a program that keeps no changes was at work, of this release or of one before. Then they are kept
// again, and the feed says from where to where they are not.
func TestAFeedSaysWhatItLacks(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	with, without := newAccounts(1), newAccounts(1)
	with.table.Changes = KeysOnly
	run := func(f *Fold[string, account], amount int64) {
		r := b.start(b.runner(f))
		b.arrives(r, f.Name(), b.append("account-1", deposited{Amount: amount}))
		b.stop(r)
	}
	run(without, 1)
	run(with, 2)
	run(without, 3)
	run(with, 4)
	feed, err := b.feedOf("accounts")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`$RowsReplaced {"kind":"replace","position":1,"rows":{"generation":1,"version":1}}`,
		`RowModified {"kind":"modify","position":2,"key":{"id":"1"}}`,
		`$RowsReplaced {"kind":"replace","position":3,"rows":{"generation":1,"version":1,"missing_from":3,"missing_to":3}}`,
		`RowModified {"kind":"modify","position":4,"key":{"id":"1"}}`,
	}
	var got []string
	for _, e := range feed {
		data := string(e.Data)
		if e.Type == "$RowsReplaced" {
			data = strings.ReplaceAll(data, " ", "")
		}
		got = append(got, e.Type+" "+data)
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the feed is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestChangesAreKeptForATime: those that are old go, but for those that a subscription has not delivered; those of a
// projection that was dropped as well.
func TestChangesAreKeptForATime(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := newAccounts(1)
	f.table.Changes, f.table.ChangesKept = New, time.Hour
	r := b.start(b.runner(f))
	b.arrives(r, f.Name(), b.append("account-1", deposited{Amount: 1}, deposited{Amount: 2}, deposited{Amount: 3}, deposited{Amount: 4}))
	exec := func(sql string) {
		if _, err := b.pool().Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	left := func() (first int64, n int) {
		if err := r.catalog.pruneChanges(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := b.pool().QueryRow(t.Context(), `SELECT coalesce(min(number), 0), count(*) FROM recount.projection_changes`).Scan(&first, &n); err != nil {
			t.Fatal(err)
		}
		return first, n
	}
	if _, n := left(); n != 4 {
		t.Errorf("%d changes are left of 4 that are new", n)
	}
	exec(`UPDATE recount.projection_changes SET at = at - interval '2 hours' WHERE number < 4`)
	exec(`INSERT INTO recount.subscriptions (name, app, definition, needs, changes_of, partitions, start_position, created_by)
		VALUES ('follows', 'test', '{}', 'http', 'accounts', 1, 0, 'test')`)
	exec(`INSERT INTO recount.subscription_partitions (subscription, partition, log_id, incarnation, position)
		SELECT id, 0, gen_random_uuid(), 1, 2 FROM recount.subscriptions`)
	exec(`INSERT INTO recount.subscription_parked (subscription, position, partition, key, state) SELECT id, 2, 0, 'accounts-1', 'dead' FROM recount.subscriptions`)
	if first, n := left(); first != 2 || n != 3 {
		t.Errorf("%d changes are left from %d on, want 3 from 2 on, which is parked", n, first)
	}
	exec(`DELETE FROM recount.subscription_parked`)
	if first, _ := left(); first != 3 {
		t.Errorf("changes are left from %d on, want 3, the one behind the cursor", first)
	}
	exec(`DELETE FROM recount.subscriptions`)
	if first, _ := left(); first != 4 {
		t.Errorf("changes are left from %d on, want 4, which is new", first)
	}
	if err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.admin.Drop(t.Context(), f.Name(), 0, "", "test"); err != nil {
		t.Fatal(err)
	}
	exec(`UPDATE recount.projection_changes SET at = clock_timestamp() - interval '6 days'`)
	if _, n := left(); n != 1 {
		t.Errorf("%d changes are left of 1 of a projection that was dropped, and that is not old enough", n)
	}
	exec(`UPDATE recount.projection_changes SET at = clock_timestamp() - interval '8 days'`)
	if _, n := left(); n != 0 {
		t.Errorf("%d changes are left that are old, of a projection that was dropped", n)
	}
}
