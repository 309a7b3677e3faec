package work

import (
	"context"
	"os"
	"time"

	"github.com/rs/zerolog"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/projections"
)

// NoteRow is what the projection keeps of a stream.
type NoteRow struct {
	Events int64
	Amount int64
	// Last is the version of the last event, Chain depends on the order of all of
	// them.
	Last  int64
	Chain int64
}

// Add is what an event does to the row of its stream.
func (r *NoteRow) Add(e Noted, version int64) {
	r.Events++
	r.Amount += e.Amount
	r.Last = version
	r.Chain = r.Chain*31 + e.Amount
}

// NotesName is the name of the projection.
const NotesName = "chaos_notes"

// Notes is the projection that projectors run.
func Notes() *projections.Fold[string, NoteRow] {
	f := projections.NewFold[string, NoteRow](projections.Table{Name: NotesName, Version: 1})
	projections.Upsert(f,
		func(_ Noted, r projections.Recorded) string { return r.Stream },
		func(row *NoteRow, e Noted, r projections.Recorded) error { row.Add(e, r.Version); return nil })
	return f
}

// NewCodec returns the codec of what writers append.
func NewCodec() (*eventstore.Codec, error) {
	return eventstore.NewCodec(eventstore.TypeOf[Noted](NoteType, 1))
}

func runProjector(ctx context.Context, s Spec) error {
	codec, err := NewCodec()
	if err != nil {
		return err
	}
	pool, store, err := open(ctx, s)
	if err != nil {
		return ignoreEnd(ctx, err)
	}
	logger := zerolog.New(os.Stderr).With().Timestamp().Logger()
	var runner *projections.Runner
	for ctx.Err() == nil {
		runner, err = projections.NewRunner(projections.Config{Pool: pool, Store: store, Codec: codec, Logger: logger, BulkFrom: -1}, Notes())
		if err != nil {
			return err
		}
		if err = runner.Start(ctx); err == nil {
			break
		}
		say("start the projection: %v", err)
		runner = nil
		pause(ctx, 100*time.Millisecond)
	}
	<-ctx.Done()
	if runner != nil {
		stopping, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := runner.Stop(stopping); err != nil {
			say("stop the projection: %v", err)
		}
	}
	return closeLog(pool, store)
}
