package projections

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/operations"
)

// frozen is an event of the next program, which also writes deposits in schema version 2.
type frozen struct{}

// nextCodec is newCodec in the next program.
func nextCodec(t testing.TB) *eventstore.Codec {
	t.Helper()
	same := func(d deposited) (deposited, error) { return d, nil }
	codec, err := eventstore.NewCodec(
		eventstore.TypeOf[opened]("Opened", 1),
		eventstore.TypeOf[deposited]("Deposited", 2, eventstore.Upcast(1, same)),
		eventstore.TypeOf[transferred]("Transferred", 1),
		eventstore.TypeOf[closed]("Closed", 1),
		eventstore.TypeOf[frozen]("Frozen", 1))
	if err != nil {
		t.Fatal(err)
	}
	return codec
}

var (
	depositedV2 = eventstore.Event{Type: "Deposited", SchemaVersion: 2, Data: []byte(`{"Amount":7}`)}
	frozenEvent = eventstore.Event{Type: "Frozen", Data: []byte(`{}`)}
)

// TestUnknownTypesAreRefused: a log with events that no read model would ever show is not taken for
// one without them.
func TestUnknownTypesAreRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.append("account-1", opened{}, eventstore.Event{Type: "Withdrawn", Data: []byte(`{}`)})
	b.append("account-2", eventstore.Event{Type: "Withdrawn", SchemaVersion: 3, Data: []byte(`{}`)})
	b.append("ledger-1", eventstore.Event{Type: "Booked", Data: []byte(`{}`)})
	err := b.runner(newAccounts(1)).Start(t.Context())
	var unknown *UnknownTypesError
	if !errors.As(err, &unknown) || len(unknown.Types) != 1 || unknown.Types[0] != (UnknownType{"Withdrawn", 2, 2}) {
		t.Fatalf("Start = %v, want two events of Withdrawn from position 2 to be unknown", err)
	}
	if !errors.Is(err, eventstore.ErrUnknownType) || !strings.Contains(err.Error(), `"Withdrawn" (2, the first at position 2)`) || unknown.Hint() == "" {
		t.Errorf("the error is %q, want it to name the type, count and position, and a hint", err)
	}
	if all, err := b.admin.List(t.Context()); err != nil || len(all) > 0 {
		t.Errorf("after it there are %v, %v; want no projections", all, err)
	}
	for name, change := range map[string]func(*Config){
		"ignored":           func(c *Config) { c.IgnoreTypes = []string{"Withdrawn"} },
		"of other programs": func(c *Config) { c.Categories = []string{"customer"} },
	} {
		c := b.config()
		change(&c)
		r, err := NewRunner(c, newTotals(strings.ReplaceAll(name, " ", "_")))
		if err != nil {
			t.Fatal(err)
		}
		b.start(r)
		b.arrives(r, strings.ReplaceAll(name, " ", "_"), b.append("account-1", deposited{Amount: 1}))
		b.stop(r)
	}
	c := b.config()
	c.Categories = []string{"account", "ledger"}
	r, err := NewRunner(c, newAccounts(1))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(t.Context()); !errors.As(err, &unknown) || len(unknown.Types) != 2 {
		t.Errorf("Start with both categories = %v, want both types to be unknown", err)
	}
}

// TestAnOldProgramStandsAside: it stops right before what it cannot read, be it a type that none of
// its projections handles, marks nothing as failed, and a newer program goes on by itself.
func TestAnOldProgramStandsAside(t *testing.T) {
	t.Parallel()
	for name, unreadable := range map[string]eventstore.Event{"a schema version": depositedV2, "a type": frozenEvent} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			old := b.start(b.runner(newAccounts(1)))
			b.arrives(old, "accounts", b.append("account-1", deposited{Amount: 1}))
			b.append("ledger-1", eventstore.Event{Type: "Booked", Data: []byte(`{}`)})
			before := b.append("account-1", deposited{Amount: 1})
			b.append("account-1", deposited{Amount: 1}, unreadable)
			last := b.append("account-1", deposited{Amount: 1})
			s := b.reaches("accounts", operations.Unreadable, before.Position)
			if s.Position != before.Position || s.Failure != nil || s.Unreadable == nil || !strings.Contains(s.Unreadable.Error, unreadable.Type) {
				t.Errorf("the status is %+v, want it to have come to %d and to say what it cannot read", s, before.Position)
			}
			b.codec = nextCodec(t)
			next := b.start(b.runner(newAccounts(1)))
			b.arrives(next, "accounts", last)
			if s := b.reaches("accounts", operations.Running, last.Position); s.Unreadable != nil {
				t.Errorf("the status is %+v, want nothing to be unreadable", s)
			}
			if n := old.Stats()[0].StandAsides; n != 1 {
				t.Errorf("the old program stood aside %d times, want once", n)
			}
			// Once it is past that event, and alone, it goes on, also when it is started again.
			b.stop(next)
			b.codec = newCodec(t)
			b.arrives(old, "accounts", b.append("account-1", deposited{Amount: 1}))
			b.stop(old)
			old = b.start(b.runner(newAccounts(1)))
			b.arrives(old, "accounts", b.append("account-1", deposited{Amount: 1}))
			if err := b.runner(newAccounts(2)).Start(t.Context()); name == "a type" && !errors.As(err, new(*UnknownTypesError)) {
				t.Errorf("Start of what would be made without those events = %v, want them to be unknown", err)
			}
		})
	}
}

// TestOperationsStandAside: a rebuild that the old program cannot do is done by the next.
func TestOperationsStandAside(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	old := b.start(b.runner(newAccounts(1)))
	b.arrives(old, "accounts", b.append("account-1", deposited{Amount: 1}))
	last := b.append("account-1", depositedV2)
	b.reaches("accounts", operations.Unreadable, 0)
	op, err := b.admin.Request(t.Context(), operations.Request{Kind: Rebuild, Subject: "accounts", Version: 1, Actor: "test"})
	if err != nil {
		t.Fatal(err)
	}
	b.eventually(func() error {
		seen := false
		old.unreadable.Range(func(any, any) bool { seen = true; return false })
		if !seen {
			return errors.New("the old program has not stood aside")
		}
		return nil
	})
	b.codec = nextCodec(t)
	b.start(b.runner(newAccounts(1)))
	b.eventually(func() error {
		switch now, err := b.admin.Operation(t.Context(), op.ID); {
		case err != nil:
			return err
		case now.State != operations.Done:
			return fmt.Errorf("the operation is %+v", now)
		}
		return nil
	})
	b.reaches("accounts", operations.Running, last.Position) // by either: the rows are past that event
}

func TestThePastIsNotReadWithoutWhatIsUnknown(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		event eventstore.Event
		want  error
	}{{frozenEvent, eventstore.ErrUnknownType}, {depositedV2, eventstore.ErrUnknownVersion}} {
		b := newBench(t)
		b.append("account-1", deposited{Amount: 1})
		b.append("account-1", c.event)
		h := b.history(0)
		for _, stream := range []string{"account-1", ""} {
			if _, _, err := AsOf(t.Context(), h, newAccounts(1), "1", stream, Moment{Position: 2}); !errors.Is(err, c.want) {
				t.Errorf("AsOf with %s in %q = %v, want %v", c.event.Type, stream, err, c.want)
			}
		}
	}
}

// TestARestoreEndsStandingAside: the log that is restored to before the event which this program
// cannot read has another one in its place.
func TestARestoreEndsStandingAside(t *testing.T) {
	t.Parallel()
	b := newUnjudged(t)
	open := func() {
		store, err := pgstore.Open(t.Context(), pgstore.Config{Pool: b.pool()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close(context.Background()) })
		b.store, b.admin = store, NewAdmin(b.pool(), b.db.Schema, store)
	}
	open()
	old := b.start(b.runner(newAccounts(1)))
	b.arrives(old, "accounts", b.append("account-1", deposited{Amount: 1}))
	b.append("account-1", depositedV2)
	b.reaches("accounts", operations.Unreadable, 1)
	b.exec(`DELETE FROM recount.events WHERE position > 1`)
	b.exec(`INSERT INTO recount.log_incarnations (n, log_id, from_position, system_identifier, timeline, database_oid)
		SELECT 2, log_id, 1, system_identifier, timeline, database_oid FROM recount.log_incarnations`)
	open() // as the programs that append are started again
	b.append("account-1", deposited{Amount: 1})
	b.reaches("accounts", operations.Running, 2)
}
