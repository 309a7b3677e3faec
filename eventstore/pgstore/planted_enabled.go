//go:build failpoints && linux

package pgstore

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/internal/failpoint"
)

// spoiled are the faults that are in statements.
var spoiled = []struct {
	fault    failpoint.Fault
	old, new string
}{
	{failpoint.AppendUnlocked, "\nFOR UPDATE OF log_lock", ""},
	{failpoint.SequencePositions, "\nFOR UPDATE OF log_lock", ""},
	{failpoint.SequencePositions, "WHERE coalesce(head.position, 0) = $1", "WHERE true OR coalesce(head.position, 0) = $1"},
	{failpoint.FastPathUnguarded, "WHERE coalesce(head.position, 0) = $1", "WHERE true OR coalesce(head.position, 0) = $1"},
	{failpoint.RecordedAtBegin, "greatest(clock_timestamp(), head.recorded_at)", "now()"},
	{failpoint.XminHorizon, "max(e.position) FROM {schema}.events e", "max(e.position) FROM {schema}.events e " +
		"WHERE e.xmin::text::bigint < pg_snapshot_xmin(pg_current_snapshot())::text::bigint"},
}

func planted(statement string) string {
	for _, s := range spoiled {
		if failpoint.Planted(s.fault) {
			statement = strings.ReplaceAll(statement, s.old, s.new)
		}
	}
	return statement
}

// readEarly reads before the lock what the faults take from there.
func (a *appender) readEarly(ctx context.Context, requests []*request) (*facts, error) {
	early := newFacts()
	if failpoint.Planted(failpoint.SequencePositions) {
		if err := a.drawPositions(ctx, early, requests); err != nil {
			return nil, err
		}
	}
	b := &pgx.Batch{}
	var names []string
	for _, r := range requests {
		for _, app := range r.appends {
			names = append(names, app.Stream)
		}
	}
	a.store.queueStreams(b, early, unique(names))
	if err := a.conn.SendBatch(ctx, b).Close(); err != nil {
		return nil, err
	}
	return early, a.store.loadKnown(ctx, a.conn, early, requests)
}

// drawPositions takes as many positions from a sequence as there are events.
func (a *appender) drawPositions(ctx context.Context, early *facts, requests []*request) error {
	events := 0
	for _, r := range requests {
		events += r.events
	}
	const lock = "SELECT pg_advisory_xact_lock(7)"
	b := &pgx.Batch{}
	b.Queue(lock)
	b.Queue("CREATE SEQUENCE IF NOT EXISTS planted_positions")
	if err := a.conn.SendBatch(ctx, b).Close(); err != nil {
		return err
	}
	b = &pgx.Batch{}
	b.Queue(lock)
	b.Queue("SELECT coalesce(min(n), 1) - 1 FROM (SELECT nextval('planted_positions') AS n FROM generate_series(1, $1)) AS drawn", events).QueryRow(
		func(row pgx.Row) error { return row.Scan(&early.head.position) })
	return a.conn.SendBatch(ctx, b).Close()
}

// spoil puts what was read early in place of what was read under the lock.
func (f *facts) spoil(early *facts) {
	if failpoint.Planted(failpoint.SequencePositions) {
		f.head.position = early.head.position
	}
	if failpoint.Planted(failpoint.VersionsBeforeLock) {
		f.streams = early.streams
	}
	if failpoint.Planted(failpoint.IDsBeforeLock) {
		f.known = early.known
	}
}

// answerEarly answers callers before the commit.
func answerEarly(requests []*request, p *plan) {
	if !failpoint.Planted(failpoint.AnswerBeforeCommit) {
		return
	}
	for i, r := range requests {
		r.done <- p.outcomes[i]
		// Room for the answer after the commit, which nobody waits for.
		r.done = make(chan outcome, 1)
	}
}

// withoutReceipts takes the receipts out of what is written with the events.
func (p *plan) withoutReceipts() *plan {
	if !failpoint.Planted(failpoint.ReceiptApart) {
		return p
	}
	bare := *p
	bare.scopes, bare.keys, bare.fingerprints, bare.answers, bare.results = nil, nil, nil, nil, nil
	return &bare
}

// writeReceiptsLate writes them after the events were committed.
func (a *appender) writeReceiptsLate(p *plan) {
	if !failpoint.Planted(failpoint.ReceiptApart) {
		return
	}
	const insert = `
INSERT INTO {schema}.receipts (scope, key, fingerprint, answer, result, stored_at)
VALUES ($1, $2, $3, $4, $5, clock_timestamp()) ON CONFLICT DO NOTHING`
	for i := range p.keys {
		_, _ = a.conn.Exec(context.Background(), a.store.sql(insert), p.scopes[i], p.keys[i], p.fingerprints[i], p.answers[i], p.results[i])
	}
}
