package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore/logcheck"
	"github.com/57528e99/recount/tests/chaos/work"
)

// survivors are the workers of a loss: a writer, readers, a projector, with
// histories of their own.
type survivors struct {
	run  *run
	dir  string
	from int64 // where readers begin
	seed uint64
	fleet
}

// startSurvivors starts workers and waits until all of them work.
func (r *run) startSurvivors(ctx context.Context, folder string) (*survivors, error) {
	s := &survivors{run: r, dir: filepath.Join(r.dir, folder), from: r.head(ctx) + 1,
		// No two writers of a run make the same ids.
		seed:  r.config.Seed<<8 + 128 + uint64(len(r.copies)),
		fleet: newFleet()}
	r.extra = append(r.extra, &s.fleet)
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return nil, err
	}
	workers := map[string]role{"writer-1": roleWriter, "reader-1": roleReader, "reader-2": roleReader, "projector-1": roleProjector}
	if r.receiver != nil {
		workers["deliverer-1"], workers["deliverer-2"] = roleDeliverer, roleDeliverer
	}
	for name, kind := range workers {
		if err := s.start(name, kind); err != nil {
			return nil, err
		}
	}
	return s, s.reach(ctx, s.from+1000)
}

func (s *survivors) start(name string, kind role) error {
	g, err := newGate(s.run.cluster.dsn(), func(Kind) {})
	if err != nil {
		return err
	}
	s.gates[name] = g
	spec, err := json.Marshal(work.Spec{Name: name, Kind: work.Kind(kind), Seed: s.seed, Dir: s.dir, DSN: g.proxy.DSN(),
		From: s.from, Rate: 3000, SkipReads: true, MaxConns: maxConns(kind)})
	if err != nil {
		return err
	}
	p, err := newProcess(s.dir, name, kind, []string{s.run.config.Worker, "work", string(spec)})
	if err != nil {
		return err
	}
	s.processes[name] = p
	return p.start()
}

// maxConns returns how many connections a worker has; 0: as many as it likes.
func maxConns(kind role) int32 {
	if kind == roleDeliverer {
		return 10
	}
	return 0
}

// writeOn lets the writer go on for a while, and makes sure that it did.
func (s *survivors) writeOn(ctx context.Context, d time.Duration) error {
	before := s.run.head(ctx)
	wait(ctx, d)
	return s.reach(ctx, before+100)
}

// awaitRefused waits until the writer was refused what it began to append since began, for as long
// as the harness waits for anything: it may have to connect first. Whether it was is checked later.
func (s *survivors) awaitRefused(ctx context.Context, began int64) {
	refused := func(a logcheck.Append) bool { return a.Outcome == logcheck.Refused && a.Start > began }
	for deadline := time.Now().Add(patience); time.Now().Before(deadline) && ctx.Err() == nil; wait(ctx, 100*time.Millisecond) {
		// What is wrong with the file the check meets as well.
		if h, _ := logcheck.Load(work.HistoryFile(s.dir, "writer-1")); slices.ContainsFunc(h.Appends, refused) {
			return
		}
	}
}

// standBack ends the projection, as one does before a restore: what it sees of a
// log that is not adopted it would take for damage.
func (s *survivors) standBack() error {
	if exit, orderly := s.processes["projector-1"].stop(30 * time.Second); !orderly {
		return fmt.Errorf("the projector did not end in good order: %s", exit)
	}
	return nil
}

// restart ends processes by SIGKILL; they are started again.
func (s *survivors) restart(kind role) {
	for _, p := range s.processes {
		if p.role == kind {
			p.kill("")
		}
	}
}

// reach waits until the log, every reader and the projection are beyond a
// position.
func (s *survivors) reach(ctx context.Context, position int64) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for ; ctx.Err() == nil; wait(ctx, 50*time.Millisecond) {
		if lowest, err := s.lowest(ctx); err == nil && lowest > position {
			return nil
		}
	}
	lowest, err := s.lowest(context.WithoutCancel(ctx))
	return errors.Join(err, fmt.Errorf("somebody is at position %d still, want beyond %d", lowest, position))
}

// lowest returns how far the last one is.
func (s *survivors) lowest(ctx context.Context) (position int64, err error) {
	err = s.run.onDatabase(ctx, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `SELECT least(coalesce((SELECT max(position) FROM recount.events), 0),
			(SELECT position FROM recount.projection_generations WHERE serving AND projection = $1))`, work.NotesName).Scan(&position)
	})
	for _, p := range s.processes {
		if p.role == roleReader {
			position = min(position, lastRead(work.HistoryFile(s.dir, p.name)))
		}
	}
	return position, err
}

// stop stops all: the writer first, so that the others get everything.
func (s *survivors) stop() (found []logcheck.Violation) {
	ended := func(p *process) {
		if exit, orderly := p.stop(30 * time.Second); !orderly {
			found = append(found, logcheck.Violation{Rule: logcheck.RuleLeaks, Text: fmt.Sprintf("%s did not end in good order: %s", p.name, exit)})
		}
	}
	ended(s.processes["writer-1"])
	if err := s.reach(context.Background(), s.run.head(context.Background())-1); err != nil {
		found = append(found, logcheck.Violation{Rule: logcheck.RuleConverged, Text: err.Error()})
	}
	found = append(found, s.run.settle(context.Background())...)
	for _, name := range slices.Sorted(maps.Keys(s.processes)) {
		if name != "writer-1" {
			ended(s.processes[name])
		}
	}
	return found
}
