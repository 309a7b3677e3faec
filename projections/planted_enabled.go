//go:build failpoints && linux

package projections

import (
	"strings"
	"sync"

	"github.com/57528e99/recount/internal/failpoint"
)

// spoiled are the faults that are in statements.
var spoiled = []struct {
	fault    failpoint.Fault
	old, new string
}{
	{failpoint.LeaseWithoutEpoch, "AND epoch = $3\nAND position = $5", "AND $3::bigint > 0 AND $5::bigint >= 0"},
	{failpoint.LeaseOfReplaced, "AND built AND serving = $5", "AND built AND $5::boolean IS NOT NULL"},
	{failpoint.RebuildLosesTail, "position = target, events", "position = (SELECT max(position) FROM {schema}.events), events"},
	{failpoint.SwitchEarly, "position >= target AND position >= $3 AND", "$3::bigint >= 0 AND"},
	{failpoint.SwitchKeepsEpochs, "owner = NULL, lease_expires_at = NULL, epoch = epoch + 1\nWHERE", "owner = NULL, lease_expires_at = NULL\nWHERE"},
}

func planted(statement string) string {
	for _, s := range spoiled {
		if failpoint.Planted(s.fault) {
			statement = strings.ReplaceAll(statement, s.old, s.new)
		}
	}
	return statement
}

// dirty has the memory of the last batch of each projector.
var dirty sync.Map

// memoryFor returns the memory to fold a batch in.
func memoryFor[K comparable, Row any](p *foldProjector[K, Row]) *memory[K, Row] {
	if !failpoint.Planted(failpoint.FoldRetriedDirty) {
		return newMemory(p)
	}
	kept, _ := dirty.LoadOrStore(p, newMemory(p))
	return kept.(*memory[K, Row])
}
