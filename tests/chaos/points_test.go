package chaos

import (
	"testing"

	"github.com/57528e99/recount/internal/failpoint"
)

// elsewhere are the failpoints that processes of a run do not come by.
var elsewhere = map[failpoint.Point]string{
	failpoint.ReceiptPurge:   "receipts are kept for longer than a run",
	failpoint.ProjectFailing: "every event can be applied",
	failpoint.AdoptWritten:   "the harness adopts logs itself",
	failpoint.AdoptDone:      "the harness adopts logs itself",
	failpoint.MigrateLocked:  "the harness migrates itself",
	failpoint.MigrateRunning: "the harness migrates itself",
	failpoint.MigrateRan:     "the harness migrates itself",
	failpoint.SagaTold:       "no program of a run has sagas",
	failpoint.SagaStep:       "no program of a run has sagas",
	failpoint.SagaCalled:     "no program of a run has sagas",
	failpoint.SagaRecorded:   "no program of a run has sagas",
	failpoint.SagaTimer:      "no program of a run has sagas",
	failpoint.ArchiveWritten: "no subscription of a run goes to files",
}

func TestProcessesDieAtEveryFailpointThatTheyComeBy(t *testing.T) {
	t.Parallel()
	used := make(map[failpoint.Point]bool)
	for _, names := range everybody(t) {
		for _, name := range names {
			for _, p := range pointsOf(name) {
				used[p.Point] = true
			}
		}
	}
	for _, p := range failpoint.Points() {
		if why, out := elsewhere[p.Name]; used[p.Name] == out {
			t.Errorf("%s: used in plans: %t; left out because %q", p.Name, used[p.Name], why)
		}
	}
}
