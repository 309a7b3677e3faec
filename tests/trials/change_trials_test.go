package trials

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/projections"
)

// changed follows the changes of rows while the view changes over to a version that is ahead of the one before, and a process
// goes on with that.
func changed(w *world) {
	s := w.open()
	run := func(version int) *projections.Runner {
		f := projections.NewFold[string, balance](projections.Table{Name: "balances", Version: version, Changes: projections.New})
		projections.Upsert(f, projections.ByID, func(b *balance, e deposited, _ projections.Recorded) error {
			b.Balance, b.Moves = b.Balance+e.Amount, b.Moves+1
			return nil
		})
		r, err := projections.NewRunner(projections.Config{
			Pool: w.pool(w.db.DSN), Store: w.open(), Codec: accountCodec(), LeaseTTL: 300 * time.Millisecond, PollInterval: 20 * time.Millisecond,
		}, f)
		w.must(err)
		return w.start(r)
	}
	shown := func(version int, position int64) func() bool {
		return func() (ok bool) {
			w.must(w.db.Pool.QueryRow(w.Context(), `
SELECT count(*) = $1 AND min(g.position) >= $2 AND bool_or(g.version = $1 AND p.live_generation = g.generation)
FROM recount.projections p JOIN recount.projection_generations g ON g.projection = p.name`, version, position).Scan(&ok))
			return ok
		}
	}
	one := run(1)
	w.want(eventually(w.Context(), 10*time.Second, shown(1, w.deposits(s, 20, 3).Position)), "version 1 does not follow")
	w.stop(one)
	w.deposits(s, 5, 3)
	run(2)
	w.want(eventually(w.Context(), 10*time.Second, shown(2, 20)), "the view does not show version 2")
	run(1)
	end := w.deposits(s, 5, 3)
	w.want(eventually(w.Context(), 10*time.Second, shown(2, end.Position)), "the versions do not follow")
	w.judgeChanges(end.Position)
}

// judgeChanges compares the changes of balances with the deposits up to a position.
func (w *world) judgeChanges(end int64) {
	w.Helper()
	moves := make(map[string]int)
	var want, got []string
	for e, err := range w.open().ReadAll(w.Context(), eventstore.ReadOptions{}) {
		w.must(err)
		if e.Position <= end {
			moves[e.Stream]++
			want = append(want, fmt.Sprint(e.Position, " ", eventstore.StreamID(e.Stream), " in moves: ", moves[e.Stream]))
		}
	}
	for e, err := range projections.NewChangeLog(w.db.Pool, w.db.Schema, w.open(), "balances", projections.New).ReadAll(w.Context(), eventstore.ReadOptions{}) {
		w.must(err)
		var c projections.Change
		var row struct{ Moves int }
		w.must(json.Unmarshal(e.Data, &c))
		if c.Kind == projections.Replaced {
			w.want(c.Rows.MissingFrom == 0, "changes are missing: %s", e.Data)
			continue
		}
		w.must(json.Unmarshal(c.New, &row))
		got = append(got, fmt.Sprint(c.Position, " ", eventstore.StreamID(e.Stream), " in moves: ", row.Moves))
	}
	w.want(fmt.Sprint(got) == fmt.Sprint(want), "the changes are %q, want %q", got, want)
}
