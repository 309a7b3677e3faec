package core

// Doubling needs no barrier: partition i of n becomes i and i + n, both at its cursor, both with a new epoch,
// and its rows are dealt by PartitionOf. That may be done while it is owned, or stuck.
//
// Halving does: 2i partitions whose cursors differ have nothing that could stand for both. Their owners stop
// reading (Partition.ReadTo its Read) and tell how far they have read; then all run to exactly the Barrier, and
// when each cursor is there, partition i of n takes the rows of i + n, in one transaction, with new epochs.

// Barrier returns where partitions meet that have read so far and read no further: the highest. At a lower
// one, what is done above it would go out again after later events of its key.
func Barrier(reads []int64) int64 {
	highest := int64(0)
	for _, r := range reads {
		highest = max(highest, r)
	}
	return highest
}
