package operations

import (
	"context"
	"sync"
	"time"

	"github.com/57528e99/recount/internal/background"
)

// Meter measures how far an operation is, and holds it to its throttle.
type Meter struct {
	throttle int

	mu    sync.Mutex
	p     Progress
	begun time.Time
	// phaseBegun and phaseFrom are when and where the phase began, for the estimate.
	phaseBegun time.Time
	phaseFrom  int64
	// ahead is how many events later phases will read, as far as can be said.
	ahead int64
	// due is when what was read so far may have been, by the throttle.
	due time.Time
}

// NewMeter returns the meter of work that begins now, and reads at most throttle events in a
// second;
// 0: as many as there are.
func NewMeter(throttle int) *Meter {
	now := time.Now()
	return &Meter{throttle: throttle, begun: now, phaseBegun: now, due: now}
}

// Phase says what comes now, and from where in the log it goes to where; 0, 0: it reads nothing.
func (m *Meter) Phase(name string, from, target int64) { m.Pass(name, from, target, 0) }

// Enter is Phase, for one that reads nothing; it reports whether it is another than before.
func (m *Meter) Enter(name string) bool {
	before := m.progress().Phase
	m.Phase(name, 0, 0)
	return before != name
}

// Pass is Phase, with about how many events are to be read afterwards.
func (m *Meter) Pass(name string, from, target, ahead int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.p.Phase, m.p.Position, m.p.Target = name, from, target
	m.phaseBegun, m.phaseFrom, m.ahead = time.Now(), from, ahead
}

// Buckets says how many there are, and how many are done.
func (m *Meter) Buckets(all, done int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.p.Buckets, m.p.BucketsDone = all, done
}

func (m *Meter) BucketsDone(more int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.p.BucketsDone += more
}

// throttleSlack is for how long an operation that read less than it might, such as while it copied
// rows, may read more.
const throttleSlack = 250 * time.Millisecond

// Read counts the operation's own events among all that were read, up to a position, and waits
// while those are more than the throttle allows.
func (m *Meter) Read(ctx context.Context, own, all int, position int64) error {
	m.mu.Lock()
	m.p.Events += int64(own)
	m.p.Position = position
	now := time.Now()
	if m.throttle > 0 {
		if earliest := now.Add(-throttleSlack); m.due.Before(earliest) {
			m.due = earliest
		}
		m.due = m.due.Add(time.Duration(float64(all) / float64(m.throttle) * float64(time.Second)))
	}
	wait := m.due.Sub(now)
	m.mu.Unlock()
	if wait > 0 {
		background.Sleep(ctx, wait)
	}
	return context.Cause(ctx)
}

// progress returns how far it is. The time left supposes that what is ahead is read as fast as this
// Phase reads.
func (m *Meter) progress() Progress {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.p
	if elapsed := time.Since(m.begun).Seconds(); elapsed > 0 {
		p.EventsPerSecond = float64(p.Events) / elapsed
	}
	gone := p.Position - m.phaseFrom
	if gone > 0 && p.Target > 0 {
		left := float64(max(p.Target-p.Position, 0)+m.ahead) / float64(gone) * time.Since(m.phaseBegun).Seconds()
		p.SecondsLeft = &left
	}
	return p
}
