package chaos

import (
	"strings"

	"github.com/57528e99/recount/internal/failpoint"
)

// point is a failpoint that a process comes by.
type point struct {
	failpoint.Point
	// most is the highest hit to die at: one that is soon reached.
	most int
}

var (
	appendPoints = []point{
		{failpoint.AppendBegin, 20}, {failpoint.AppendJudged, 20}, {failpoint.AppendLocked, 10}, {failpoint.AppendSent, 20},
		{failpoint.AppendCommitted, 20}, {failpoint.AppendAnswered, 20}, {failpoint.NotifySend, 5},
		{failpoint.AppendNames, 1}, // once or twice in a process: for what it has not appended before
	}
	// unknownPoints are reached when an answer to a COMMIT is lost.
	unknownPoints = []point{{failpoint.AppendUnknown, 1}, {failpoint.AppendLanded, 1}}
	txPoints      = []point{{failpoint.TxLocked, 3}, {failpoint.TxWritten, 3}, {failpoint.TxCommitted, 2}, {failpoint.TxUnknown, 2}}
	readPoints    = []point{{failpoint.ReadPage, 10}}
	commandPoints = []point{{failpoint.CommandDecided, 5}, {failpoint.CommandAppended, 5}}
	projectPoints = []point{
		{failpoint.ProjectRead, 10}, {failpoint.ProjectFolded, 10}, {failpoint.ProjectCommitted, 10},
		{failpoint.LeaseLooked, 5}, {failpoint.LeaseAcquired, 1}, {failpoint.LeaseRenewing, 2}, {failpoint.LeaseRenewed, 2},
		{failpoint.LeaseReleased, 1}, {failpoint.ReadPage, 10},
	}
	deliverPoints  = []point{{failpoint.DeliverTaken, 3}, {failpoint.DeliverMoved, 20}, {failpoint.DeliverLeaving, 1}}
	snapshotPoints = []point{{failpoint.SnapshotTaken, 5}}
	rebuildPoints  = []point{
		{failpoint.OperationClaimed, 1}, {failpoint.RebuildPrepared, 1}, {failpoint.RebuildFolded, 1}, {failpoint.RebuildCopied, 1},
		{failpoint.RebuildRecorded, 1}, {failpoint.RebuildIndexed, 1}, {failpoint.RebuildCompleted, 1}, {failpoint.RebuildCaughtUp, 1},
		{failpoint.RebuildPointed, 1}, {failpoint.RebuildSwitched, 1}, {failpoint.RebuildDropping, 1}, {failpoint.RebuildDropped, 1},
		{failpoint.OperationEnding, 1},
	}
)

// pointsOf returns the failpoints that the process of a name comes by.
func pointsOf(name string) (list []point) {
	kind, number, _ := strings.Cut(name, "-")
	switch role(kind) {
	case roleWriter:
		list = append(append(list, appendPoints...), txPoints...)
		return append(list, unknownPoints...)
	case roleReader:
		return readPoints
	case roleProjector:
		return projectPoints
	case roleOperator:
		return rebuildPoints
	case roleDeliverer:
		return deliverPoints
	}
	roles := rolesOfServer(number)
	if strings.Contains(roles, "api") {
		list = append(append(list, appendPoints...), commandPoints...)
	}
	if strings.Contains(roles, "projections") {
		list = append(append(list, projectPoints...), snapshotPoints...)
	}
	return list
}
