package projections

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
)

// Verification is what the comparison of a generation with a fresh fold of the log came to.
type Verification struct {
	Projection string `json:"projection"`
	Generation int    `json:"generation"`
	// Position is the checkpoint that was compared; rows that changed since were compared where
	// they were then.
	Position int64 `json:"position"`
	// Rows is how many there were, in the fold or in the table.
	Rows int64 `json:"rows"`
	// Rechecked is how many of them changed meanwhile.
	Rechecked int64 `json:"rechecked"`
	// Skipped is how many events up to the checkpoint an operator left out of the rows, and so of
	// this.
	Skipped int64 `json:"skipped"`
	// Events and Digest are those of the checkpoint, LogEvents and LogDigest those of the log up to
	// it.
	Events    int64             `json:"events"`
	Digest    eventstore.Digest `json:"digest"`
	LogEvents int64             `json:"log_events"`
	LogDigest eventstore.Digest `json:"log_digest"`
	// Differing is how many rows differ, Differences the first of them, at most 10.
	Differing   int64        `json:"differing"`
	Differences []Difference `json:"differences"`
}

// OK reports whether everything is as the log says.
func (v Verification) OK() bool {
	return v.Differing == 0 && v.Events == v.LogEvents && v.Digest == v.LogDigest
}

// Difference is a row that is not as the log says.
type Difference struct {
	// Key has the columns of the key. Want and Got are those of the row: what the log makes of it,
	// and what is in the table; nil: there is none.
	Key  map[string]any `json:"key"`
	Want map[string]any `json:"want"`
	Got  map[string]any `json:"got"`
	// WantPosition and GotPosition are those of the last event that touched the row.
	WantPosition int64 `json:"want_position,omitempty"`
	GotPosition  int64 `json:"got_position,omitempty"`
	// Events are the last ones that touched the row, at most 10.
	Events []EventRef `json:"events"`
}

// EventRef names an event.
type EventRef struct {
	Position int64     `json:"position"`
	ID       uuid.UUID `json:"id"`
	Type     string    `json:"type"`
	Stream   string    `json:"stream"`
	Version  int64     `json:"version"`
}

func refOf(e Recorded) EventRef {
	return EventRef{Position: e.Position, ID: e.ID, Type: e.Type, Stream: e.Stream, Version: e.Version}
}

const maxDifferences, maxRefs = 10, 10

// verifying is a verification underway.
type verifying struct {
	catalog    *catalog
	generation generation
	pass       pass
	result     *Verification
}

const checkpointSQL = `
SELECT position, events, digest FROM {schema}.projection_generations WHERE projection = $1 AND generation = $2`

// verify compares the generation that serves the version.
func (x *execution) verify(ctx context.Context) (any, error) {
	fold, g, err := x.presentFold(ctx)
	if err != nil {
		return nil, err
	}
	v, err := x.compare(ctx, fold, g)
	if err != nil {
		return nil, err
	}
	return v, nil
}

// verifyBuilt compares a generation that was just built, before anybody reads it.
func (x *execution) verifyBuilt(ctx context.Context, fold bulk, g target) (*Verification, error) {
	v, err := x.compare(ctx, fold, g.generation)
	if err != nil {
		return nil, err
	}
	if !v.OK() {
		err = &permanentError{fmt.Errorf("what was built is not what another fold of the log makes: %d rows differ", v.Differing), ReasonFoldDiffers}
	}
	return v, err
}

// compare folds the log afresh, in as many passes as the memory takes, and compares.
func (x *execution) compare(ctx context.Context, fold bulk, g generation) (*Verification, error) {
	result := &Verification{Projection: g.projection, Generation: g.number, Differences: []Difference{}}
	err := x.catalog.pool.QueryRow(ctx, x.catalog.sql(checkpointSQL), g.projection, g.number).Scan(&result.Position, &result.Events, &result.Digest)
	if err != nil {
		return nil, err
	}
	skips, err := x.catalog.skipsUpTo(ctx, g, result.Position)
	if err != nil {
		return nil, err
	}
	result.Skipped = int64(len(skips))
	todo := make([]int, bucketCount)
	for i := range todo {
		todo[i] = i
	}
	for len(todo) > 0 {
		x.meter.Buckets(bucketCount, bucketCount-len(todo))
		x.meter.Phase("verifying", 0, result.Position)
		pass := x.pass(ctx, result.Position, skips)
		pass.buckets = bucketCount
		pass.want = func(bucket int) bool { _, found := slices.BinarySearch(todo, bucket); return found }
		v := &verifying{catalog: x.catalog, generation: g, pass: pass, result: result}
		done, total, err := fold.verifyPass(ctx, pass, v)
		if err != nil {
			return nil, fmt.Errorf("verify: %w", err)
		}
		result.LogEvents, result.LogDigest = total.Events, total.Digest
		todo = slices.DeleteFunc(todo, func(bucket int) bool { return slices.Contains(done, bucket) })
	}
	x.meter.Buckets(bucketCount, bucketCount)
	return result, nil
}
