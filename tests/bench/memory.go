package bench

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// memoryWatch notes how much memory this program has during calls, in bytes.
type memoryWatch struct {
	// heap is the most in objects that are in use or not yet collected, all the most that the program
	// had from the system.
	heap, all uint64
}

// watching looks at the memory while the first caller calls.
func (w *memoryWatch) watching(call func(context.Context, int) (int, error)) func(context.Context, int) (int, error) {
	return func(ctx context.Context, caller int) (int, error) {
		if caller != 0 {
			return call(ctx, caller)
		}
		done := make(chan struct{})
		looked := make(chan struct{})
		go func() {
			defer close(looked)
			ticker := time.NewTicker(10 * time.Millisecond)
			defer ticker.Stop()
			for {
				w.look()
				select {
				case <-ticker.C:
				case <-done:
					return
				}
			}
		}()
		defer func() { close(done); <-looked }()
		return call(ctx, caller)
	}
}

// forgotten gives memory that others have left back to the system before each call, so that it does
// not count.
func forgotten(call func(context.Context, int) (int, error)) func(context.Context, int) (int, error) {
	return func(ctx context.Context, caller int) (int, error) {
		debug.FreeOSMemory()
		return call(ctx, caller)
	}
}

func (w *memoryWatch) look() {
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
	}
	metrics.Read(samples)
	w.heap = max(w.heap, samples[0].Value.Uint64())
	w.all = max(w.all, samples[1].Value.Uint64()-samples[2].Value.Uint64())
}

func megabytes(bytes uint64) float64 { return float64(bytes) / 1e6 }
