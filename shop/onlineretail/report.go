package onlineretail

import (
	"sync"
	"time"
)

// Report says how far an import has come.
type Report struct {
	// Total is how many commands the book comes to.
	Total int64
	// Done is how many of them the server has accepted, now or in an earlier
	// import.
	Done int64
	// Replayed is how many of those it had accepted before.
	Replayed int64
	// Retries counts requests that had to be sent again.
	Retries int64
	// Trouble is why the last of them had to, or nil.
	Trouble error
	// Elapsed is the time since the import began.
	Elapsed time.Duration
	// Token is the consistency token of the last thing done. A read that waits
	// for it sees the whole import. Empty if there is none.
	Token string
}

// Rate returns commands per second.
func (r Report) Rate() float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(r.Done) / r.Elapsed.Seconds()
}

func (r *run) report() Report {
	retries, trouble := r.client.troubles()
	r.mu.Lock()
	defer r.mu.Unlock()
	return Report{
		Total:    r.total,
		Done:     r.done,
		Replayed: r.replayed,
		Retries:  retries,
		Trouble:  trouble,
		Elapsed:  time.Since(r.begun),
		Token:    r.token,
	}
}

// watch tells Progress about the run until stop is called, which waits for the
// last call.
func (r *run) watch() (stop func()) {
	if r.config.Progress == nil {
		return func() {}
	}
	var wg sync.WaitGroup
	over := make(chan struct{})
	wg.Go(func() {
		ticker := time.NewTicker(r.config.ProgressEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				r.config.Progress(r.report())
			case <-over:
				r.config.Progress(r.report())
				return
			}
		}
	})
	return func() {
		close(over)
		wg.Wait()
	}
}
