package projections

import "sync/atomic"

// Stats are what a Runner has done for one projection since it was made. What holds for the
// projection wherever it runs is in Status.
type Stats struct {
	Projection string
	// Running says that it runs in this process now.
	Running bool
	// Batches were applied, each in a transaction, with Events in all, those skipped included.
	Batches, Events int64
	// Interruptions are errors after which it tried again, Stops those that it waits for an operator
	// after.
	Interruptions, Stops int64
	// StandAsides are events that only a newer program can read.
	StandAsides int64
}

// counts are the numbers in Stats that only grow.
type counts struct{ batches, events, interruptions, stops, standAsides atomic.Int64 }

// Stats returns a line for each projection, in the order of NewRunner. It may be called at any
// time.
func (r *Runner) Stats() []Stats {
	all := make([]Stats, len(r.workers))
	for i, w := range r.workers {
		all[i] = Stats{
			Projection: w.projection.Name(), Running: w.progress.isRunning(),
			Batches: w.counts.batches.Load(), Events: w.counts.events.Load(),
			Interruptions: w.counts.interruptions.Load(), Stops: w.counts.stops.Load(),
			StandAsides: w.counts.standAsides.Load(),
		}
	}
	return all
}
