package chaos

import (
	"testing"
	"time"

	"github.com/57528e99/recount/eventstore/logcheck"
)

func TestAnOperationThatGoesOnIsAViolation(t *testing.T) {
	b := newBroken(t)
	if found := b.awaitOperations(t.Context(), time.Minute); len(found) != 0 {
		t.Errorf("without operations the harness finds %v", found)
	}
	b.must(b.run.exec(t.Context(), `INSERT INTO recount.projections (name, live_generation) VALUES ('orders', 1)`))
	b.must(b.run.exec(t.Context(), `INSERT INTO recount.projection_operations (id, projection, kind, version, options, requested_by)
		VALUES (gen_random_uuid(), 'orders', 'rebuild', 1, '{}', 'nobody')`))
	if found := b.awaitOperations(t.Context(), time.Millisecond); len(found) != 1 || found[0].Rule != logcheck.RuleConverged {
		t.Errorf("with an operation that nobody ends the harness finds %v, want a violation of %q", found, logcheck.RuleConverged)
	}
	b.must(b.run.exec(t.Context(), `UPDATE recount.projection_operations SET state = 'done'`))
	if found := b.awaitOperations(t.Context(), time.Minute); len(found) != 0 {
		t.Errorf("after the operation the harness finds %v", found)
	}
}
