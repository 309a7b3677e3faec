package snapshots

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/operations"
	"github.com/57528e99/recount/projections"
)

func TestLongStreamLoadsFromItsTail(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var at eventstore.Token
	for range 10 {
		at = b.count("counter-1", 1000)
	}
	b.wantLoaded("1", 10_000, 9_999, 10_000)
	b.log.reset()
	r := b.run()
	b.follows(r, at)
	if reads := b.log.reset(); reads > 11_000 {
		t.Errorf("to make one snapshot %d events were read, want hardly more than there are", reads)
	}
	b.wantList("counter-1@9999")
	b.wantLoaded("1", 10_000, 9_999, 1)
	b.follows(r, b.count("counter-1", every-1))
	b.wantLoaded("1", 10_009, 10_008, every)
	b.follows(r, b.count("counter-1", 1))
	b.wantList("counter-1@10009")
	b.wantLoaded("1", 10_010, 10_009, 1)
}

func TestSnapshotsAreMadeEveryNEvents(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.run()
	for _, stream := range []string{"counter-1", "counter-2", "other-1"} {
		b.count(stream, every-1)
	}
	b.follows(r, b.count("counter-3", every))
	b.wantList("counter-3@9")
	b.count("other-1", 1)
	b.count("counter-2", every) // past one, not on it
	b.follows(r, b.count("counter-3", every-1))
	b.wantList("counter-2@18", "counter-3@9")
	if _, err := b.log.DeleteStream(t.Context(), "counter-3", eventstore.Any); err != nil {
		t.Fatal(err)
	}
	b.follows(r, b.count("counter-3", every)) // versions 20 to 29
	b.wantList("counter-2@18", "counter-3@29")
	b.wantLoaded("3", every, 29, 1)
}

func TestStatesThatAreManyBytesAreAllKept(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.store.batchBytes = 10 // a state
	b.count("counter-1", every)
	b.count("counter-2", every)
	at := b.count("counter-3", every)
	b.follows(b.run(), at)
	b.wantList("counter-1@9", "counter-2@9", "counter-3@9")
}

func TestDamagedRowIsIgnoredAndReplaced(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.run()
	b.follows(r, b.count("counter-1", every))
	b.exec(`UPDATE recount.snapshots_counter SET state = '{"N":1000}'`)
	b.wantLoaded("1", every, every-1, every)
	if log := b.out.String(); !strings.Contains(log, "snapshot is ignored") || !strings.Contains(log, "checksum") {
		t.Errorf("log = %q, want a warning", log)
	}
	b.follows(r, b.count("counter-1", every))
	b.wantLoaded("1", 2*every, 2*every-1, 1)
}

func TestTruncatedStreamLivesOnItsSnapshot(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.run()
	b.follows(r, b.count("counter-1", every+3))
	if err := b.log.SetStreamMetadata(t.Context(), "counter-1", eventstore.StreamMetadata{TruncateBefore: every}); err != nil {
		t.Fatal(err)
	}
	b.follows(r, b.count("counter-1", every))
	b.wantLoaded("1", 2*every+3, 2*every+2, every)
	if _, err := b.store.Purge(t.Context(), "", ""); err != nil {
		t.Fatal(err)
	}
	_, _, err := b.handler().Load(t.Context(), "1")
	if !errors.Is(err, commands.ErrTruncated) {
		t.Errorf("Load without the snapshot = %v, want ErrTruncated", err)
	}
	// It can have no other, and the projection goes on.
	b.follows(r, b.count("counter-1", every))
	b.follows(r, b.count("counter-2", every))
	b.wantList("counter-2@9")
	if log := b.out.String(); !strings.Contains(log, "goes without") {
		t.Errorf("log = %q, want a warning", log)
	}
}

func TestWithoutTheProjectionThereAreNone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.count("counter-1", every)
	b.wantLoaded("1", every, every-1, every)
	if log := b.out.String(); log != "" {
		t.Errorf("log = %q, want no warning", log)
	}
	_, err := b.store.List(t.Context(), Query{})
	_, err2 := b.store.Purge(t.Context(), "", "")
	_, err3 := b.store.Rebuild(t.Context(), b.log, b.handler().SnapshotSource(), "", zerolog.Nop())
	for _, err := range []error{err, err2, err3} {
		if !errors.Is(err, ErrNoTable) {
			t.Errorf("error = %v, want ErrNoTable", err)
		}
	}
}

func TestRebuildMakesThemAnew(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.run()
	for _, stream := range []string{"counter-1", "counter-2", "counter-3", "counter-4"} {
		b.follows(r, b.count(stream, every))
	}
	// One is damaged, one missing, one of a stream that is gone, and one claims to be later than any.
	b.exec(`UPDATE recount.snapshots_counter SET state = '{}' WHERE stream = 'counter-1'`)
	if n, err := b.store.Purge(t.Context(), "counter", "counter-2"); n != 1 || err != nil {
		t.Fatalf("Purge = %d, %v; want 1", n, err)
	}
	if _, err := b.log.DeleteStream(t.Context(), "counter-3", eventstore.Any); err != nil {
		t.Fatal(err)
	}
	b.exec(`UPDATE recount.snapshots_counter SET version = 1000 WHERE stream = 'counter-4'`)

	source := b.handler().SnapshotSource()
	done, err := b.store.Rebuild(t.Context(), b.log, source, "", zerolog.Nop())
	if want := (Rebuilt{Made: 3, Removed: 1}); err != nil || done != want {
		t.Errorf("Rebuild = %+v, %v; want %+v", done, err, want)
	}
	b.wantList("counter-1@9", "counter-2@9", "counter-4@9")
	for _, id := range []string{"1", "2", "4"} {
		b.wantLoaded(id, every, every-1, 1)
	}
	b.exec(`UPDATE recount.snapshots_counter SET state = '{}'`)
	if done, err := b.store.Rebuild(t.Context(), b.log, source, "counter-2", zerolog.Nop()); err != nil || done.Made != 1 {
		t.Errorf("Rebuild of one = %+v, %v; want 1", done, err)
	}
	b.wantLoaded("2", every, every-1, 1)
	b.wantLoaded("1", every, every-1, every)
}

func TestListPicks(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.run()
	for _, stream := range []string{"counter-1", "counter-2", "counter-3"} {
		b.follows(r, b.count(stream, every))
	}
	for _, c := range []struct {
		query Query
		want  int
	}{
		{Query{}, 3}, {Query{Limit: 2}, 2}, {Query{Stream: "counter-2"}, 1}, {Query{Decider: "counter"}, 3}, {Query{Decider: "other"}, 0},
	} {
		if got, err := b.store.List(t.Context(), c.query); err != nil || len(got) != c.want {
			t.Errorf("List(%+v) = %d, %v; want %d", c.query, len(got), err, c.want)
		}
	}
	one, err := b.store.List(t.Context(), Query{Stream: "counter-1"})
	if err != nil || len(one) != 1 {
		t.Fatalf("List = %d, %v; want 1", len(one), err)
	}
	if s := one[0]; s.Version != every-1 || s.Position != every || s.SchemaVersion != 1 || s.Bytes != int64(len(`{"N":10,"Last":1}`)) || s.TakenAt.Before(s.RecordedAt) {
		t.Errorf("List = %+v, want the snapshot of counter-1", s)
	}
}

// Nothing is lost when the projection is built anew, not even what could not be made again.
func TestProjectionIsBuiltAnew(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.run()
	for _, stream := range []string{"counter-1", "counter-2"} {
		b.follows(r, b.count(stream, every+3))
	}
	if err := b.log.SetStreamMetadata(t.Context(), "counter-1", eventstore.StreamMetadata{TruncateBefore: every + 3}); err != nil {
		t.Fatal(err)
	}
	b.exec(`UPDATE recount.snapshots_counter SET state = '{}' WHERE stream = 'counter-2'`)
	op, err := r.Run(t.Context(), operations.Request{Kind: projections.Rebuild, Subject: NameOf("counter")}, nil)
	if err != nil || op.State != operations.Done {
		t.Fatalf("rebuild = %+v, %v", op, err)
	}
	b.wantList("counter-1@12", "counter-2@12")
	b.wantLoaded("1", every+3, every+2, 1)
	b.wantLoaded("2", every+3, every+2, 1)
	b.follows(r, b.count("counter-1", every))
	b.wantList("counter-1@22", "counter-2@12")
}

// Programs with other categories, or with another version of the states, make snapshots of their
// own.
func TestProgramsOnOneLogLeaveEachOtherTheirSnapshots(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, c := range []struct {
		category string
		schema   int
	}{{"counter", 1}, {"counter", 2}, {"Counter", 1}, {"other", 1}} {
		h := b.handlerOf(c.category, c.schema)
		r := b.runAll(b.store.Projections(zerolog.Nop(), h.SnapshotSource())...)
		b.followsAs(r, NameOf(c.category), b.count(c.category+"-1", every))
	}
	b.wantLoadedBy(b.handlerOf("counter", 1), "1", 2*every, 2*every-1, every+1)
	b.wantLoadedBy(b.handlerOf("counter", 2), "1", 2*every, 2*every-1, 1)
	b.wantLoadedBy(b.handlerOf("Counter", 1), "1", every, every-1, 1)
	b.wantLoadedBy(b.handlerOf("other", 1), "1", every, every-1, 1)
	b.wantList("Counter-1@9", "counter-1@19", "other-1@9")
	if n, err := b.store.Purge(t.Context(), "counter", ""); n != 1 || err != nil {
		t.Errorf("Purge = %d, %v; want 1", n, err)
	}
	for _, schema := range []int{1, 2} {
		b.wantLoadedBy(b.handlerOf("counter", schema), "1", 2*every, 2*every-1, 2*every)
	}
}

// One projection made the snapshots of all once. What it has is used, and it may go on beside.
func TestSnapshotsOfTheOneProjectionForAllAreTakenOver(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	legacy := projector{b.store, zerolog.Nop(), b.handler().SnapshotSource()}
	old := b.runAll(projections.NewBatch(projections.BatchConfig{
		Name: "snapshots", Version: 1, Types: []string{"Counted"}, Prepare: legacy.prepare,
		Create: func(ctx context.Context, tx pgx.Tx, table string) error {
			_, err := tx.Exec(ctx, in(table, createSQL))
			return err
		},
	}))
	for _, stream := range []string{"counter-1", "other-1"} {
		b.followsAs(old, "snapshots", b.count(stream, every))
	}
	// Only a snapshot has it now.
	if err := b.log.SetStreamMetadata(t.Context(), "counter-1", eventstore.StreamMetadata{TruncateBefore: every}); err != nil {
		t.Fatal(err)
	}
	b.wantLoaded("1", every, every-1, 1)
	r := b.run()
	b.follows(r, b.count("counter-1", 1))
	b.wantLoaded("1", every+1, every, 1)
	last := b.count("counter-1", every-1)
	b.follows(r, last)
	b.followsAs(old, "snapshots", last)
	b.wantList("counter-1@19")
	b.exec(`DROP VIEW recount.snapshots`)
	b.wantLoaded("1", 2*every, 2*every-1, 1)
}

// TestAppsOnOneLogHaveSnapshotsOfTheirOwn, though they load streams of the same category.
func TestAppsOnOneLogHaveSnapshotsOfTheirOwn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	stores := map[string]*Store{}
	sources := map[string]commands.SnapshotSource{}
	for app, decider := range map[string]string{"bank": "", "shop": "shop_counter"} {
		stores[app] = NewStore(b.db.Pool, "").ForApp(app)
		sources[app] = b.handlerOn(stores[app], "counter", commands.SnapshotConfig{Decider: decider}).SnapshotSource()
		all := stores[app].Projections(zerolog.New(&b.out), sources[app])
		if err := projections.NewAdmin(b.db.Pool, "", b.log, all...).ForApp(app).Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		r := b.of(app, all...)
		if err := r.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.atEnd(r.Stop)
		b.followsAs(r, all[0].Name(), b.count("counter-"+app, every))
	}
	for app, store := range stores {
		all, err := store.List(t.Context(), Query{})
		if err != nil || len(all) == 0 || slices.ContainsFunc(all, func(i Info) bool { return i.Decider != sources[app].Decider() }) {
			t.Errorf("the snapshots of %s are %+v, %v; want its own", app, all, err)
		}
	}

	// With the decider of the bank, the shop is refused, and reads and makes nothing of the bank's.
	taker := b.handlerOn(stores["shop"], "counter", commands.SnapshotConfig{}).SnapshotSource()
	var refused *projections.AppError
	err := b.of("shop", stores["shop"].Projections(zerolog.New(&b.out), taker)...).Start(t.Context())
	if !errors.As(err, &refused) || refused.Projection != "snapshots_counter" || refused.Owners[0] != "bank" {
		t.Errorf("Start = %v, want *AppError for snapshots_counter of the bank", err)
	}
	if _, err := stores["shop"].Rebuild(t.Context(), b.log, taker, "", zerolog.New(&b.out)); !errors.As(err, &refused) {
		t.Errorf("Rebuild = %v, want *AppError", err)
	}
	if s, found, err := stores["shop"].Snapshot(t.Context(), "counter", 1, "counter-bank"); found || err != nil {
		t.Errorf("the shop reads %+v, %v; want nothing of the bank's", s, err)
	}
	if n, err := stores["shop"].Purge(t.Context(), "", ""); err != nil || n == 0 {
		t.Errorf("Purge = %d, %v", n, err)
	}
	if all, err := stores["bank"].List(t.Context(), Query{}); err != nil || len(all) == 0 {
		t.Errorf("after the shop's Purge the bank has %+v, %v; want what it had", all, err)
	}
}
