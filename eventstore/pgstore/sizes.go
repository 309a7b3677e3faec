package pgstore

import "github.com/57528e99/recount/eventstore"

const (
	firstPage = 64
	// maxWindow is how many positions a filtered page scans at most, for each
	// event of a full page.
	maxWindow = 64
)

// sizer finds the size of the next page. It starts small, so that a short read
// stays cheap, and asks for few events where they are large: what a page cannot
// hold is fetched in vain.
type sizer struct {
	limit int
	bytes int
	next  int
	// window is how many positions to scan for a page of a filtered read.
	window int64
}

func newSizer(opts eventstore.ReadOptions) *sizer {
	opts = opts.WithDefaults()
	return &sizer{limit: opts.PageSize, bytes: opts.PageBytes, next: min(opts.PageSize, firstPage), window: int64(opts.PageSize)}
}

// size is how many events the next page may have.
func (z *sizer) size() int { return z.next }

// learn takes note of a page.
func (z *sizer) learn(events []eventstore.RecordedEvent) {
	bytes := 0
	for i := range events {
		bytes += events[i].Size()
	}
	z.next = min(z.limit, 4*z.next)
	if len(events) > 0 && bytes > 0 {
		z.next = max(1, min(z.next, z.bytes*len(events)/bytes))
	}
	switch found := len(events); {
	case found < z.limit/2:
		z.window = min(2*z.window, int64(z.limit)*maxWindow)
	case found >= z.limit:
		z.window = max(z.window/2, int64(z.limit))
	}
}
