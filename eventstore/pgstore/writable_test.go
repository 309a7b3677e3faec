package pgstore_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/57528e99/recount/eventstore"
)

func TestCheckWritable(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	s := open(t, db)
	want := func(text string) {
		t.Helper()
		err := s.CheckWritable(t.Context())
		if (err == nil) != (text == "") || err != nil && (!errors.Is(err, eventstore.ErrUnavailable) || !strings.Contains(err.Error(), text)) {
			t.Errorf("CheckWritable = %v, want %q", err, text)
		}
	}
	mustAppend(t, s, happened("a-1", 1))
	want("")

	exec(t, db, `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$`)
	exec(t, db, `CREATE TRIGGER refuse BEFORE INSERT ON recount.events EXECUTE FUNCTION refuse()`)
	if _, err := s.Append(t.Context(), happened("a-1", 2), eventstore.AppendOptions{}); !errors.Is(err, eventstore.ErrUnavailable) {
		t.Fatalf("append to a full disk: %v, want ErrUnavailable", err)
	}
	eventually(t, "the check knows", func() bool { return s.CheckWritable(t.Context()) != nil })
	want("disk is full")
	exec(t, db, `DROP TRIGGER refuse ON recount.events`)
	mustAppend(t, s, happened("a-1", 2))
	eventually(t, "the check knows that it is over", func() bool { return s.CheckWritable(t.Context()) == nil })

	exec(t, db, `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$`)
	db.Pool.Reset()
	want("read-only")
}
