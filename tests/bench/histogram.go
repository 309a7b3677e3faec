package bench

import (
	"math"
	"math/bits"
	"time"
)

// histogram counts durations in buckets whose width is at most 1/64 of what they hold, so that
// percentiles are exact to 1.6 % and memory does not grow with the number of samples.
type histogram struct {
	counts [(64 - subBits + 1) << subBits]int64
	n      int64
	max    time.Duration
}

const subBits = 6

// bucket returns the bucket of a duration: one for each nanosecond up to 64, then 64 to every
// doubling.
func bucket(d time.Duration) int {
	v := uint64(max(d, 0))
	shift := max(bits.Len64(v)-subBits-1, 0)
	return shift<<subBits + int(v>>shift)
}

// value returns the middle of a bucket.
func value(bucket int) time.Duration {
	shift := max(bucket>>subBits-1, 0)
	low := uint64(bucket-shift<<subBits) << shift
	return time.Duration(low + (uint64(1)<<shift)/2)
}

func (h *histogram) add(d time.Duration) {
	h.counts[bucket(d)]++
	h.n++
	h.max = max(h.max, d)
}

func (h *histogram) merge(other *histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.n += other.n
	h.max = max(h.max, other.max)
}

// quantile returns the duration that a share q of the samples, from 0 to 1, does not exceed.
func (h *histogram) quantile(q float64) time.Duration {
	rank := max(int64(math.Ceil(q*float64(h.n))), 1)
	seen := int64(0)
	for i, n := range h.counts {
		if seen += n; seen >= rank {
			return min(value(i), h.max)
		}
	}
	return h.max
}

func milliseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }
