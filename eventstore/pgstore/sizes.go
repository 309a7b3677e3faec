package pgstore

import "github.com/57528e99/recount/eventstore"

const (
	firstPage = 64
	pageBytes = 8 << 20
	// maxWindow is how many positions a filtered page scans at most, for each
	// event of a full page.
	maxWindow = 64
)

// sizer finds the size of the next page. It starts small, so that a short read
// stays cheap, and keeps large events from filling the memory.
type sizer struct {
	limit int
	next  int
	// window is how many positions to scan for a page of a filtered read.
	window int64
}

func newSizer(opts eventstore.ReadOptions) *sizer {
	limit := opts.PageSize
	if limit <= 0 {
		limit = eventstore.DefaultPageSize
	}
	return &sizer{limit: limit, next: min(limit, firstPage), window: int64(limit)}
}

// size is how many events the next page may have.
func (z *sizer) size() int { return z.next }

// learn takes note of a page.
func (z *sizer) learn(events []eventstore.RecordedEvent) {
	bytes := 0
	for _, e := range events {
		bytes += len(e.Data) + len(e.Metadata)
	}
	z.next = min(z.limit, 4*z.next)
	if len(events) > 0 && bytes > 0 {
		z.next = max(1, min(z.next, pageBytes*len(events)/bytes))
	}
	switch found := len(events); {
	case found < z.limit/2:
		z.window = min(2*z.window, int64(z.limit)*maxWindow)
	case found >= z.limit:
		z.window = max(z.window/2, int64(z.limit))
	}
}
