// Package window counts events in windows of their own time, not of the time at which they arrive.
//
// A Fold has a watermark: the largest time of its events less the delay that is allowed. A window closes when the watermark
// has passed its end and the grace: that gives a Closing. What comes for it later is late, and either makes another revision of
// the closing, or is told of as Missed, or is counted alone. What comes out depends on the events and their order only, not on how they are cut into batches
// or on which windows are in memory meanwhile: a Fold is given those that a batch may touch, and gives back what it has changed.
//
// Times are microseconds since 1970 in UTC.
package window
