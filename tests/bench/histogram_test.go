package bench

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Percentiles must be those of a sorted list, to 1.6 %.
func TestHistogramAgreesWithSortedSamples(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		samples := rapid.SliceOfN(rapid.Int64Range(0, int64(time.Hour)), 1, 300).Draw(t, "samples")
		var parts [3]histogram
		for i, d := range samples {
			parts[i%3].add(time.Duration(d))
		}
		var h histogram
		for i := range parts {
			h.merge(&parts[i])
		}
		slices.Sort(samples)
		for _, q := range []float64{0.5, 0.9, 0.99, 1} {
			want := samples[max(int(math.Ceil(q*float64(len(samples)))), 1)-1]
			if got := int64(h.quantile(q)); math.Abs(float64(got-want)) > 0.016*float64(want) {
				t.Fatalf("quantile %g is %d, want %d", q, got, want)
			}
		}
		if h.n != int64(len(samples)) || int64(h.max) != samples[len(samples)-1] {
			t.Fatalf("there are %d samples up to %d", h.n, h.max)
		}
	})
}

func TestHistogramTakesAnyDuration(t *testing.T) {
	t.Parallel()
	for _, d := range []time.Duration{-1, 0, 1, 63, 64, 127, 128, math.MaxInt64} {
		var h histogram
		h.add(d)
		want := max(d, 0)
		if got := h.quantile(0.5); math.Abs(float64(got-want)) > 0.016*float64(want) {
			t.Errorf("the median of %d is %d", d, got)
		}
	}
}
