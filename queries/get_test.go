package queries_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/operations"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/queries"
)

func TestGetSeesWhatTheTokenStandsFor(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	followed := b.start()
	for name, r := range map[string]*queries.Reader{
		"polling":   b.reader,
		"following": b.newReader(queries.Config{Follower: followed}),
	} {
		for i := range 50 {
			token := b.append("order-1", placed{Total: int64(i), At: day(1), Customer: ptr("ann"), Status: "placed"})
			got, err := queries.Get(b.patiently(), r, b.orders, "1", token)
			want := order{CustomerID: ptr("ann"), Status: "placed", PlacedAt: day(1), Total: int64(i), Tags: []string{"t"}}
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("%s: Get = %+v, %v, want %+v", name, got, err, want)
			}
		}
	}
	token := b.append("order-1", cancelled{})
	if _, err := queries.Get(b.patiently(), b.reader, b.orders, "1", token); !errors.Is(err, queries.ErrNotFound) {
		t.Errorf("Get of a deleted row = %v, want ErrNotFound", err)
	}
}

func TestATokenOfEventsThatTheProjectionDoesNotHandle(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.start()
	b.append("order-1", placed{})
	if _, err := queries.Get(b.patiently(), b.reader, b.orders, "1", b.append("other-1", unrelated{})); err != nil {
		t.Errorf("Get = %v, want the row", err)
	}
}

func TestKeysThatCannotBeAreNotFound(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.start()
	for _, key := range []string{"", "nope", "a\x00b", "\xff", strings.Repeat("x", 1<<20), "'; DROP TABLE orders; --", "%", "../.."} {
		if _, err := queries.Get(t.Context(), b.reader, b.orders, key, eventstore.Token{}); !errors.Is(err, queries.ErrNotFound) {
			t.Errorf("Get(%.20q) = %v, want ErrNotFound", key, err)
		}
	}
}

func TestGetByAStructOfScalars(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	type key struct {
		Day     time.Time
		Country string `db:"country_code"`
		Number  int32
		Guest   bool
		ID      uuid.UUID
	}
	type row struct{ Orders int64 }
	f := projections.NewFold[key, row](projections.Table{Name: "days", Version: 1})
	id := uuid.New()
	zone := time.FixedZone("", 7200)
	projections.Upsert(f, func(e placed, _ projections.Recorded) key {
		return key{Day: e.At.In(zone), Country: "AT", Number: 1, ID: id} // the zone must not matter
	}, func(r *row, _ placed, _ projections.Recorded) error { r.Orders++; return nil })
	b.start(f)
	b.append("order-1", placed{At: day(1)}, placed{At: day(1)})
	token := b.append("order-1", placed{At: day(1)}, placed{At: day(2)})
	got, err := queries.Get(b.patiently(), b.reader, f, key{Day: day(1).In(time.FixedZone("", -3600)), Country: "AT", Number: 1, ID: id}, token)
	if err != nil || got.Orders != 3 {
		t.Errorf("Get = %+v, %v, want 3 orders", got, err)
	}
	page, err := queries.Find(t.Context(), b.reader, f, queries.List{OrderBy: "day", From: day(1), To: day(2)})
	if err != nil || len(page.Items) != 1 || page.Items[0].Key.Day != day(1) {
		t.Errorf("Find = %+v, %v, want the first day", page, err)
	}
}

func TestAReadWaitsAndThenSaysHowFarBehind(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.start()
	behind := b.append("order-1", placed{})
	if _, err := queries.Get(b.patiently(), b.reader, b.orders, "1", behind); err != nil {
		t.Fatal(err)
	}
	b.stop(r)
	token := b.append("order-1", placed{})
	// The deadline is for the reads themselves too: time enough for one on a busy machine.
	const wait = time.Second
	impatient := b.newReader(queries.Config{Wait: wait})
	patient := b.newReader(queries.Config{Wait: time.Hour})
	for name, get := range map[string]func() error{
		"the reader's wait": func() error {
			_, err := queries.Get(t.Context(), impatient, b.orders, "1", token)
			return err
		},
		"the context's deadline": func() error {
			deadline, cancel := context.WithTimeout(t.Context(), wait)
			defer cancel()
			_, err := queries.Get(deadline, patient, b.orders, "1", token)
			return err
		},
	} {
		begun := time.Now()
		err := get()
		var got *queries.BehindError
		if !errors.As(err, &got) || !errors.Is(err, queries.ErrBehind) || got.Position != 1 || got.Want != 2 || got.Projection != "orders" || got.Reason != "" {
			t.Errorf("%s: Get = %v, want a *BehindError at 1 for 2", name, err)
		}
		if took := time.Since(begun); took < wait-100*time.Millisecond || took > time.Minute {
			t.Errorf("%s: it took %s, want about %s", name, took, wait)
		}
	}
	if _, err := queries.Get(t.Context(), impatient, b.orders, "1", eventstore.Token{}); err != nil {
		t.Errorf("without a token Get = %v, want the row as it is", err)
	}
}

// TestAFollowerThatIsBehindSaysSo: the runner in this process holds the projection but cannot move.
func TestAFollowerThatIsBehindSaysSo(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.start()
	reader := b.newReader(queries.Config{Follower: r, Wait: 30 * time.Millisecond})
	if _, err := queries.Get(b.patiently(), reader, b.orders, "1", b.append("order-2", placed{})); !errors.Is(err, queries.ErrNotFound) {
		t.Fatal(err)
	}
	tx, err := b.db.Pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(t.Context(), `LOCK TABLE recount.orders_g1 IN SHARE MODE`); err != nil {
		t.Fatal(err)
	}
	token := b.append("order-1", placed{})
	if _, err := queries.Get(t.Context(), reader, b.orders, "1", token); !errors.Is(err, queries.ErrBehind) {
		t.Errorf("Get = %v, want ErrBehind", err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := queries.Get(b.patiently(), reader, b.orders, "1", token); err != nil {
		t.Errorf("Get = %v, want the row", err)
	}
}

func TestAStoppedProjectionAnswersAtOnce(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, want string
		stop       func(*bench) error
	}{
		{"paused", "it is paused", func(b *bench) error { return b.admin.Pause(b.Context(), "orders", "", "test") }},
		{"failed", "it has failed", func(b *bench) error {
			b.append("order-2", placed{Status: "refuse"})
			for {
				all, err := b.admin.Show(b.patiently(), "orders")
				if err != nil || all[0].State == operations.Failed {
					return err
				}
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			r := b.start()
			patient := b.newReader(queries.Config{Follower: r, Wait: time.Hour})
			if _, err := queries.Get(t.Context(), patient, b.orders, "1", b.append("order-1", placed{})); err != nil {
				t.Fatal(err)
			}
			if err := c.stop(b); err != nil {
				t.Fatal(err)
			}
			token := b.append("order-1", placed{})
			_, err := queries.Get(t.Context(), patient, b.orders, "1", token)
			var behind *queries.BehindError
			if !errors.As(err, &behind) || behind.Reason != c.want || (behind.Failure == "key 2: no such status") != (c.name == "failed") {
				t.Errorf("Get = %v, want a *BehindError with %q, and a failure if it has failed", err, c.want)
			}
			if _, err := queries.Get(t.Context(), patient, b.orders, "1", eventstore.Token{}); err != nil {
				t.Errorf("without a token Get = %v, want the row as it is", err)
			}
		})
	}
}

// TestAReadSaysThatTheProgramStandsAside waits all the same: a newer program may go on at any
// moment.
func TestAReadSaysThatTheProgramStandsAside(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.start()
	newer := eventstore.Event{Type: "Placed", SchemaVersion: 2, Data: []byte(`{}`)}
	done, err := b.store.Append(t.Context(), eventstore.StreamAppend{Stream: "order-1", Expected: eventstore.Any,
		Events: []eventstore.Event{newer}}, eventstore.AppendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	impatient := b.newReader(queries.Config{Wait: 20 * time.Millisecond})
	for behind := (*queries.BehindError)(nil); behind == nil || behind.Reason == ""; {
		_, err := queries.Get(t.Context(), impatient, b.orders, "1", done.Token)
		if !errors.As(err, &behind) {
			t.Fatalf("Get = %v, want a *BehindError", err)
		}
		if behind.Reason != "" && (!strings.Contains(behind.Reason, "a newer one can") || !strings.Contains(behind.Failure, "Placed")) {
			t.Errorf("Get = %v, want that the program stands aside, and for which event", err)
		}
	}
}

func TestATokenOfAnotherLogIsRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.start()
	token := b.append("order-1", placed{})
	for name, reader := range map[string]*queries.Reader{
		"polling":   b.reader,
		"following": b.newReader(queries.Config{Follower: r, Wait: time.Hour, Log: b.store}),
	} {
		foreign := token
		foreign.Log, foreign.Position = uuid.New(), 1<<40
		if _, err := queries.Get(b.patiently(), reader, b.orders, "1", foreign); !errors.Is(err, eventstore.ErrLogChanged) {
			t.Errorf("%s: Get = %v, want ErrLogChanged", name, err)
		}
		older := token
		older.Incarnation--
		if _, err := queries.Get(b.patiently(), reader, b.orders, "1", older); !errors.Is(err, eventstore.ErrLogChanged) {
			t.Errorf("%s: with a token of an earlier life Get = %v, want ErrLogChanged", name, err)
		}
	}
	newer, beyond := token, token
	newer.Incarnation++
	beyond.Position++
	for _, follower := range []queries.Follower{nil, r} {
		knowing := b.newReader(queries.Config{Follower: follower, Wait: 30 * time.Millisecond, Log: b.store})
		for _, never := range []eventstore.Token{newer, beyond} {
			if _, err := queries.Get(t.Context(), knowing, b.orders, "1", never); !errors.Is(err, eventstore.ErrLogChanged) {
				t.Errorf("with a token that the log has not come to Get = %v, want ErrLogChanged", err)
			}
		}
	}
	impatient := b.newReader(queries.Config{Wait: 30 * time.Millisecond})
	if _, err := queries.Get(t.Context(), impatient, b.orders, "1", newer); !errors.Is(err, queries.ErrBehind) {
		t.Errorf("with a token of a later life Get = %v, want ErrBehind", err)
	}
}

func TestAProjectionThatNoProcessHasRunIsBehind(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	impatient := b.newReader(queries.Config{Wait: 30 * time.Millisecond})
	_, err := queries.Get(t.Context(), impatient, b.orders, "1", eventstore.Token{})
	var behind *queries.BehindError
	if !errors.As(err, &behind) || !strings.Contains(behind.Reason, "no process has run") {
		t.Errorf("Get = %v, want a *BehindError that says so", err)
	}
	// The reader waits for it.
	got := make(chan error, 1)
	go func() {
		_, err := queries.Get(b.patiently(), b.reader, b.orders, "1", eventstore.Token{})
		got <- err
	}()
	b.append("order-1", placed{})
	b.start()
	if err := <-got; err != nil {
		t.Errorf("Get = %v, want the row as soon as it is there", err)
	}
}

// TestEachVersionReadsItsOwnRows deploys a new version beside the old one.
func TestEachVersionReadsItsOwnRows(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	old, renewed := newOrders(1), newOrders(2)
	r := b.start(old)
	token := b.append("order-1", placed{Total: 1})
	if _, err := queries.Get(b.patiently(), b.reader, old, "1", token); err != nil {
		t.Fatal(err)
	}
	b.stop(r)
	b.append("order-1", placed{Total: 2})
	b.start(renewed)
	got, err := queries.Get(b.patiently(), b.reader, renewed, "1", eventstore.Token{})
	if err != nil || got.Total != 2 {
		t.Errorf("the new version reads %+v, %v, want a total of 2: it must not be read half built", got, err)
	}
	got, err = queries.Get(t.Context(), b.reader, old, "1", eventstore.Token{})
	if err != nil || got.Total != 1 {
		t.Errorf("the old version reads %+v, %v, want a total of 1", got, err)
	}
	for want, c := range map[int64]queries.Config{1: {Projections: []projections.Projection{old}}, 2: {Projections: []projections.Projection{renewed}}} {
		totals, err := queries.SQL[int64](t.Context(), b.newReader(c), eventstore.Token{}, `SELECT total FROM {orders}`)
		if err != nil || len(totals) != 1 || totals[0] != want {
			t.Errorf("SQL of version %d = %v, %v, want [%d]", want, totals, err, want)
		}
	}
}

// TestReadsFollowAGenerationThatIsReplaced moves the rows of a version to another table while a
// reader has the old one in its cache.
func TestReadsFollowAGenerationThatIsReplaced(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.start()
	token := b.append("order-1", placed{Total: 1})
	if _, err := queries.Get(b.patiently(), b.reader, b.orders, "1", token); err != nil {
		t.Fatal(err)
	}
	b.stop(r)
	for i, replace := range []string{
		`CREATE TABLE recount.orders_g2 (LIKE recount.orders_g1);
		 INSERT INTO recount.orders_g2 SELECT * FROM recount.orders_g1;
		 UPDATE recount.orders_g2 SET total = 2;
		 UPDATE recount.projection_generations SET serving = false;
		 INSERT INTO recount.projection_generations
		     (projection, generation, version, definition, table_name, serving, target, log_id, incarnation, position, events, digest)
		 SELECT projection, 2, version, definition, 'orders_g2', true, target, log_id, incarnation, position, events, digest
		 FROM recount.projection_generations`,
		`DROP VIEW recount.orders; ALTER TABLE recount.orders_g2 RENAME TO orders_g3;
		 UPDATE recount.projection_generations SET generation = 3, table_name = 'orders_g3' WHERE serving;
		 UPDATE recount.orders_g3 SET total = 3`,
	} {
		if _, err := b.db.Pool.Exec(t.Context(), replace); err != nil {
			t.Fatal(err)
		}
		got, err := queries.Get(b.patiently(), b.reader, b.orders, "1", token)
		if want := int64(i + 2); err != nil || got.Total != want {
			t.Errorf("Get = %+v, %v, want a total of %d", got, err, want)
		}
	}
}

func TestMistakesInARowTypeAreErrors(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := projections.NewFold[string, struct{ N chan int }](projections.Table{Name: "hostile", Version: 1})
	if _, err := queries.Get(t.Context(), b.reader, f, "1", eventstore.Token{}); err == nil {
		t.Error("Get with a channel in its row returned no error")
	}
	if _, err := queries.NewReader(queries.Config{}); err == nil {
		t.Error("NewReader without a pool returned no error")
	}
}

func TestADatabaseThatIsGoneIsAnError(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.start()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := queries.Get(ctx, b.reader, b.orders, "1", eventstore.Token{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Get = %v, want the context's error", err)
	}
}
