package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/projections"
)

// showOperation returns what shows the progress of operations, no more often than the terminal wants it,
// by their names if there are several.
func (a *app) showOperation(p progress, several bool) func(projections.Operation) {
	var mu sync.Mutex
	last := make(map[uuid.UUID]time.Time)
	return func(op projections.Operation) {
		mu.Lock()
		defer mu.Unlock()
		if op.State == projections.OperationRunning && time.Since(last[op.ID]) < p.every() {
			return
		}
		last[op.ID] = time.Now()
		line := progressOf(op)
		if several {
			line = op.Projection + ": " + line
		}
		p.say(line)
	}
}

// progressOf says in a line how far an operation is; of one that has ended, what it took.
func progressOf(op projections.Operation) string {
	line, running := op.Phase, op.State == projections.OperationRunning
	if op.Target > 0 && running {
		line += fmt.Sprintf(", position %d of %d", op.Position, op.Target)
	}
	if op.Events > 0 {
		line += fmt.Sprintf(", %d events, %.0f/s", op.Events, op.EventsPerSecond)
	}
	if op.Buckets > 0 && op.BucketsDone > 0 && running {
		line += fmt.Sprintf(", %d of %d buckets", op.BucketsDone, op.Buckets)
	}
	if op.SecondsLeft != nil {
		line += fmt.Sprintf(", %.0fs left", *op.SecondsLeft)
	}
	switch {
	case running && op.Cancelling:
		line += ", being cancelled"
	case running && op.Owner == "" && op.Phase != "waiting":
		line += ", waiting for a process to go on with it"
	}
	return line
}

func operationTable(w io.Writer, all []projections.Operation) {
	fmt.Fprintln(w, "OPERATION\tKIND\tPROJECTION\tSTATE\tGENERATION\tEVENTS\tEVENTS/S\tSECONDS\tDETAIL")
	for _, op := range all {
		until, detail := op.UpdatedAt, progressOf(op)
		if op.FinishedAt != nil {
			until, detail = *op.FinishedAt, cell(op.Error, 200)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\t%.0f\t%.1f\t%s\n", op.ID, op.Kind, op.Projection, op.State, op.Generation,
			op.Events, op.EventsPerSecond, until.Sub(op.CreatedAt).Seconds(), detail)
	}
}
