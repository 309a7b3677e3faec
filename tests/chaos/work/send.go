package work

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/logcheck"
)

// send appends the parts in one of the ways that there are.
func (w *writer) send(ctx context.Context, rng *rand.Rand, parts []logcheck.Append) ([]eventstore.Appended, error) {
	appends := make([]eventstore.StreamAppend, len(parts))
	for i, part := range parts {
		appends[i] = eventstore.StreamAppend{Stream: part.Stream, Expected: expected(part.Expected), Events: eventsOf(part.IDs)}
	}
	opts := eventstore.AppendOptions{Receipt: receipt(parts[0])}
	var done []eventstore.Appended
	var err error
	switch {
	case rng.IntN(20) == 0:
		done, err = w.appendCommit(ctx, rng.IntN(4) == 0, parts[0], appends, opts)
	case len(appends) > 1:
		done, err = w.store.AppendStreams(ctx, appends, opts)
	default:
		var one eventstore.Appended
		one, err = w.store.Append(ctx, appends[0], opts)
		done = []eventstore.Appended{one}
	}
	var known *eventstore.ReceiptKnownError
	if errors.As(err, &known) {
		return known.Stored.Appended, nil
	}
	return done, err
}

// SideTable has a row of the caller's for each append that came with one, by the
// id of its first event. Its constraint makes transactions fail at COMMIT.
const SideTable = `
CREATE TABLE chaos.side (
    id     uuid PRIMARY KEY,
    number bigint GENERATED ALWAYS AS IDENTITY,
    clash  bigint,
    CONSTRAINT clashes UNIQUE (clash) DEFERRABLE INITIALLY DEFERRED
);
INSERT INTO chaos.side (id, clash) VALUES ('00000000-0000-0000-0000-000000000000', 1)`

// appendCommit appends together with a row of the writer's own, which can make
// the commit fail.
func (w *writer) appendCommit(ctx context.Context, fail bool, first logcheck.Append, appends []eventstore.StreamAppend, opts eventstore.AppendOptions) ([]eventstore.Appended, error) {
	tx, err := w.pool.Begin(ctx)
	if err != nil {
		return nil, errors.Join(eventstore.ErrUnavailable, err) // nothing was sent
	}
	var clash *int64
	if fail {
		clash = new(int64)
		*clash = 1
	}
	_, err = tx.Exec(ctx, `INSERT INTO chaos.side (id, clash) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING`, first.IDs[0], clash)
	if err != nil {
		return nil, errors.Join(eventstore.ErrUnavailable, err, giveUp(ctx, tx))
	}
	done, err := w.store.AppendCommit(ctx, tx, appends, opts)
	var own *pgconn.PgError
	if errors.As(err, &own) && own.ConstraintName == "clashes" {
		err = errClash
	}
	if err == nil {
		err = w.rows.Append(first.IDs[0])
	}
	return done, err
}

// errClash says that the writer's own row was refused, as it was to be, and all
// with it.
var errClash = errors.New("the writer's own row clashes")

func giveUp(ctx context.Context, tx pgx.Tx) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return tx.Rollback(ctx)
}

func expected(e logcheck.Expected) eventstore.ExpectedVersion {
	switch e {
	case logcheck.AnyVersion:
		return eventstore.Any
	case logcheck.StreamExists:
		return eventstore.StreamExists
	default:
		return eventstore.Exact(int64(e))
	}
}

// receipt returns the receipt of an append: its name, and what the request was.
func receipt(a logcheck.Append) *eventstore.Receipt {
	if a.Receipt == "" {
		return nil
	}
	scope, key, _ := strings.Cut(a.Receipt, "/")
	return &eventstore.Receipt{Scope: scope, Key: key, Fingerprint: a.IDs[0][:], Answer: []byte(a.IDs[0].String())}
}

// read reads a stream that it knows to its end.
func (w *writer) read(ctx context.Context, rng *rand.Rand) {
	stream := w.hot(rng).Stream
	r := logcheck.Read{Client: w.spec.Name, Stream: stream, Version: -1, Start: logcheck.Now()}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for e, err := range w.store.ReadStream(ctx, stream, eventstore.ReadOptions{}) {
		switch {
		case errors.Is(err, eventstore.ErrStreamNotFound):
		case err != nil:
			return
		default:
			r.Version, r.Chain = e.Version, r.Chain.Add(e.ID)
		}
	}
	r.End = logcheck.Now()
	w.recorder.Read(r)
	if r.Version >= 0 {
		w.learn(stream, r.Version)
	}
}
