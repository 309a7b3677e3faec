package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/operations"
	"github.com/57528e99/recount/projections"
)

// showOperation returns what shows the progress of operations, no more often than the terminal
// wants it, by their names if there are several.
func (prog *Program) showOperation(p Progress, several bool) func(operations.Operation) {
	var mu sync.Mutex
	last := make(map[uuid.UUID]time.Time)
	return func(op operations.Operation) {
		mu.Lock()
		defer mu.Unlock()
		if op.State == operations.Running && time.Since(last[op.ID]) < p.Every() {
			return
		}
		last[op.ID] = time.Now()
		line := progressOf(op)
		if several {
			line = op.Subject + ": " + line
		}
		p.Say(line)
	}
}

// progressOf says in a line how far an operation is; of one that has ended, what it took.
func progressOf(op operations.Operation) string {
	line, running := op.Phase, op.State == operations.Running
	if op.Target > 0 && running {
		line += fmt.Sprintf(", position %d of %d", op.Position, op.Target)
	}
	if op.Events > 0 {
		line += fmt.Sprintf(", %d events read, %.0f/s", op.Events, op.EventsPerSecond)
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
	if running && op.Trouble != nil {
		line += fmt.Sprintf(", interrupted at %s: %s", op.Trouble.At.Format(time.RFC3339), Cell(op.Trouble.Error, 200))
	}
	return line
}

// outcomeOf says what a rebuild or rollback that is done came to.
func outcomeOf(op operations.Operation) string {
	var done projections.Rebuilt
	if op.Kind != projections.Rebuild && op.Kind != projections.Rollback || json.Unmarshal(op.Result, &done) != nil {
		return ""
	}
	line := fmt.Sprintf("%d rows of %d events, %d skipped", done.Rows, done.Events, done.Skipped)
	if done.Shown != done.Generation {
		line += fmt.Sprintf("; the view shows generation %d", done.Shown)
	}
	return line
}

func operationTable(w io.Writer, all []operations.Operation) {
	fmt.Fprintln(w, "OPERATION\tKIND\tPROJECTION\tSTATE\tGENERATION\tEVENTS\tEVENTS/S\tSECONDS\tDETAIL")
	for _, op := range all {
		until, detail := op.UpdatedAt, progressOf(op)
		if op.FinishedAt != nil {
			until, detail = *op.FinishedAt, cmp.Or(Cell(op.Error, 200), outcomeOf(op))
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\t%.0f\t%.1f\t%s\n", op.ID, op.Kind, op.Subject, op.State, op.Generation,
			op.Events, op.EventsPerSecond, until.Sub(op.CreatedAt).Seconds(), detail)
	}
}
