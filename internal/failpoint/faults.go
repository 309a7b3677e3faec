package failpoint

import "slices"

// Fault is the name of a mistake that can be planted in the product.
type Fault string

// FaultInfo describes a fault.
type FaultInfo struct {
	Name Fault
	// What says what is wrong with the product when it is planted.
	What string
}

// Faults returns all faults.
func Faults() []FaultInfo { return slices.Clone(faults) }

// The faults.
const (
	CheckpointAhead Fault = "checkpoint-ahead"
	DigestNotMoved  Fault = "digest-not-moved"
	NotifyOnly      Fault = "notify-only"
)

var faults = []FaultInfo{
	{CheckpointAhead, "the checkpoint is one position beyond what was applied"},
	{DigestNotMoved, "the checkpoint moves without its digest"},
	{NotifyOnly, "events of other processes are found by notification only, never by polling"},
}
