package trials

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/logcheck"
	"github.com/57528e99/recount/eventstore/logcheck/pglog"
	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/operations"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/queries"
)

// balance is a row of the read model.
type balance struct{ Balance, Moves int64 }

func balances() *projections.Fold[string, balance] {
	f := projections.NewFold[string, balance](projections.Table{Name: "balances", Version: 1, Key: []string{"account"}})
	projections.Upsert(f, projections.ByID, func(b *balance, e deposited, _ projections.Recorded) error {
		b.Balance += e.Amount
		b.Moves++
		return nil
	})
	return f
}

func newRunner(pool *pgxpool.Pool, s *pgstore.Store) (*projections.Runner, error) {
	return projections.NewRunner(projections.Config{
		Pool: pool, Store: s, Codec: accountCodec(), BatchSize: 50, LeaseTTL: 300 * time.Millisecond,
		PollInterval: 20 * time.Millisecond, BulkFrom: -1,
	}, balances())
}

// runner returns the runner of another process.
func (w *world) runner() *projections.Runner {
	w.Helper()
	r, err := newRunner(w.pool(w.db.DSN), w.open())
	w.must(err)
	return r
}

func (w *world) start(r *projections.Runner) *projections.Runner {
	w.Helper()
	w.must(r.Start(w.Context()))
	w.Cleanup(func() { w.stop(r) })
	return r
}

func (w *world) stop(r *projections.Runner) {
	w.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	w.must(r.Stop(ctx))
}

// deposits appends n events to as many accounts.
func (w *world) deposits(s *pgstore.Store, n, accounts int) (last eventstore.Appended) {
	w.Helper()
	for i := range n {
		last = w.mustAppend(s, depositTo(i%accounts))
	}
	return last
}

func depositTo(account int) eventstore.StreamAppend {
	return eventstore.StreamAppend{Stream: fmt.Sprint("account-", account), Expected: eventstore.Any,
		Events: []eventstore.Event{{Type: "Deposited", SchemaVersion: 1, Data: []byte(`{"amount":1}`)}}}
}

// position is how far the generation is that is read.
func (w *world) position() (position int64) {
	w.Helper()
	err := w.db.Pool.QueryRow(w.Context(), `SELECT position FROM recount.projection_generations WHERE projection = 'balances' AND serving`).Scan(&position)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		w.Fatal(err)
	}
	return position
}

// comesTo waits until the projection is at a position, which must not take long.
func (w *world) comesTo(position int64) bool {
	w.Helper()
	over := time.Now()
	at := map[string]time.Time{"balances": {}}
	if eventually(w.Context(), 10*time.Second, func() bool { return w.position() >= position }) {
		at["balances"] = time.Now()
	}
	w.caught(logcheck.Converged(logcheck.Recovery{Over: over, Appended: over, AtHead: at}, time.Second, 10*time.Second)...)
	return !at["balances"].IsZero()
}

// judgeRows checks the rows and the checkpoint that are there now, of a projection at rest.
func (w *world) judgeRows() (caught bool) {
	w.Helper()
	want := w.rows(`
SELECT substr(s.name, 9), sum((convert_from(e.data, 'UTF8')::json->>'amount')::bigint)::bigint, count(*)
FROM recount.events e JOIN recount.streams s ON s.id = e.stream_id
WHERE s.name LIKE 'account-%' AND e.position <= (
    SELECT position FROM recount.projection_generations WHERE projection = 'balances' AND serving)
GROUP BY 1`)
	caught = w.caught(logcheck.Rows("balances", want, w.rows(`SELECT account, balance, moves FROM recount.balances`))...)
	checkpoints, err := pglog.Checkpoints(w.Context(), w.db.Pool, w.db.Schema, map[pglog.Projection]eventstore.Filter{
		{Name: "balances", Version: 1}: {Types: []string{"Deposited"}}})
	w.must(err)
	return w.caught(logcheck.Checkpoints(w.log(nil), checkpoints...)...) || caught
}

func (w *world) rows(sql string) map[string][]byte {
	w.Helper()
	rows, err := w.db.Pool.Query(w.Context(), sql)
	w.must(err)
	all := make(map[string][]byte)
	var key string
	var sum, count int64
	_, err = pgx.ForEachRow(rows, []any{&key, &sum, &count}, func() error {
		all[key] = fmt.Appendf(nil, "balance %d in %d moves", sum, count)
		return nil
	})
	w.must(err)
	return all
}

// followed lets a projection follow the log.
func followed(w *world) {
	s := w.open()
	end := w.deposits(s, 60, 7)
	w.start(w.runner())
	if !w.comesTo(end.Position) {
		return
	}
	end = w.deposits(s, 60, 9)
	if w.comesTo(end.Position) {
		w.judgeRows()
	}
}

// frozenOwner freezes the owner of a lease between reading and writing, until another has it.
func frozenOwner(w *world) {
	s := w.open()
	w.deposits(s, 200, 7)
	frozen := w.spawn("projector", "project/folded=stop@2")
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(frozen.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		w.Fatalf("the process that was to freeze: %v, %v", status, err)
	}
	before := w.position()
	r := w.start(w.runner())
	end := w.deposits(s, 50, 9)
	if !w.comesTo(end.Position) {
		return
	}
	w.stop(r)
	w.must(frozen.Process.Signal(syscall.SIGCONT))
	// It writes what it had in mind, or finds that it may not and begins where the other one ended.
	epoch := w.epoch()
	eventually(w.Context(), 3*time.Second, func() bool { return w.epoch() > epoch || w.position() < end.Position })
	w.must(frozen.Process.Kill())
	_ = frozen.Wait()
	if w.position() < before {
		w.Errorf("the checkpoint went back to %d", w.position())
	}
	w.judgeRows()
}

func (w *world) epoch() (epoch int64) {
	w.Helper()
	w.must(w.db.Pool.QueryRow(w.Context(), `SELECT epoch FROM recount.projection_generations WHERE projection = 'balances' AND serving`).Scan(&epoch))
	return epoch
}

// runProjector is a process that runs the projection.
func runProjector(ctx context.Context, pool *pgxpool.Pool, s *pgstore.Store) error {
	r, err := newRunner(pool, s)
	if err != nil {
		return err
	}
	if err := r.Start(ctx); err != nil {
		return err
	}
	<-r.Stopped()
	return nil
}

// undecodable lets a projection meet an event that no program can read.
func undecodable(w *world) {
	s := w.open()
	w.mustAppend(s, eventstore.StreamAppend{Stream: "account-1", Expected: eventstore.Any, Events: []eventstore.Event{{Type: "Deposited", SchemaVersion: 1, Data: []byte(`"much"`)}}})
	end := w.deposits(s, 1, 1)
	w.start(w.runner())
	admin := projections.NewAdmin(w.db.Pool, w.db.Schema, s)
	var state operations.State
	eventually(w.Context(), 30*time.Second, func() bool {
		all, err := admin.Show(w.Context(), "balances")
		if err == nil && len(all) > 0 {
			state = all[0].State
		}
		return state == operations.Failed || w.position() >= end.Position
	})
	w.want(state == operations.Failed, "the projection is %s at position %d, want it failed at 1", state, w.position())
}

// startedAndStopped starts and stops a projection and counts what goroutines are left of it. They
// are known by a label: those of other trials come and go.
func startedAndStopped(w *world) {
	s := w.open()
	pool := w.pool(w.db.DSN)
	end := w.deposits(s, 10, 2)
	label := pprof.Labels("trial", w.Name())
	pprof.Do(w.Context(), label, func(ctx context.Context) {
		for n := range 3 {
			r, err := newRunner(pool, s)
			w.must(err)
			w.must(r.Start(ctx))
			w.comesTo(end.Position)
			if n == 0 && w.labelled() == 0 {
				w.Fatal("a projection that runs has no goroutine that is known by its label")
			}
			w.stop(r)
		}
	})
	w.caught(logcheck.Leaks(nil, map[string]int{"goroutines of projections": w.labelled()})...)
}

// sameStacks matches how many goroutines have a stack of a profile.
var sameStacks = regexp.MustCompile(`(?m)^(\d+) @`)

// ofProjections matches the stacks of a projection's goroutines.
var ofProjections = regexp.MustCompile(`/recount/(projections|internal/lease)\.`)

// labelled counts the goroutines with the trial's label that are a projection's.
func (w *world) labelled() (n int) {
	w.Helper()
	var profile bytes.Buffer
	w.must(pprof.Lookup("goroutine").WriteTo(&profile, 1))
	for stack := range strings.SplitSeq(profile.String(), "\n\n") {
		if strings.Contains(stack, strconv.Quote(w.Name())) && ofProjections.MatchString(stack) {
			same := sameStacks.FindStringSubmatch(stack)
			count, err := strconv.Atoi(same[1])
			w.must(err)
			n += count
		}
	}
	return n
}

// readOwnWrite reads with the token of a write that the projection has not come to.
func readOwnWrite(w *world) {
	s := w.open()
	r := w.runner()
	w.must(r.Start(w.Context()))
	w.comesTo(w.deposits(s, 2, 1).Position)
	w.stop(r)
	written := w.deposits(s, 1, 1)
	reader, err := queries.NewReader(queries.Config{Pool: w.db.Pool, Wait: 50 * time.Millisecond})
	w.must(err)
	row, err := queries.Get(w.Context(), reader, balances(), "0", written.Token)
	w.want(errors.Is(err, queries.ErrBehind), "a read with the token of the third deposit gave %+v, %v", row, err)
}

// anotherApp starts a program on the log of another App.
func anotherApp(w *world) {
	s := w.open()
	w.must(projections.NewAdmin(w.db.Pool, w.db.Schema, s).ForApp("bank").Enter(w.Context()))
	r, err := projections.NewRunner(projections.Config{App: "shop", Pool: w.pool(w.db.DSN), Store: s, Codec: accountCodec()}, balances())
	w.must(err)
	err = r.Start(w.Context())
	w.want(errors.Is(err, projections.ErrAnotherApp), "the shop began to work on the bank's log: %v", err)
	w.stop(r)
}

// readPast reads a row as it was.
func readPast(w *world) {
	s := w.open()
	w.deposits(s, 5, 1)
	h, err := projections.NewHistory(projections.HistoryConfig{Pool: w.db.Pool, Store: s, Codec: accountCodec()})
	w.must(err)
	row, _, err := projections.AsOf(w.Context(), h, balances(), "0", "account-0", projections.Moment{Position: 3})
	w.must(err)
	w.want(row.Moves == 3, "the row as of position 3 is %+v, want 3 moves", row)
}
