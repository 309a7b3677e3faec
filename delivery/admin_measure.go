package delivery

import (
	"context"
	"time"

	"github.com/57528e99/recount/eventstore"
)

// measure says how far partitions are behind the head.
type measure struct {
	// a has the source as its log.
	a     *Admin
	isLog bool
	head  eventstore.Token
	// recorded is when the first event at a position or behind it was recorded.
	recorded map[int64]time.Time
}

func (m *measure) subscription(ctx context.Context, s *Status) error {
	known := true
	for i := range s.Partitions {
		p := &s.Partitions[i]
		if !m.isLog { // a member says how far it has read the log
			p.read = p.report.Read
		}
		if err := m.partition(ctx, p, s.end); err != nil {
			return err
		}
		s.InFlight += p.InFlight
		if p.LagEvents == nil {
			known = false
			continue
		}
		if s.LagEvents == nil || *p.LagEvents > *s.LagEvents {
			s.LagEvents, s.LagSeconds = p.LagEvents, p.LagSeconds
		}
		if h := s.Halving; h != nil && (h.Barrier == 0 && p.readTo == nil || h.Barrier > 0 && p.Position < h.Barrier) {
			h.Missing = append(h.Missing, p.Partition)
		}
	}
	if !known {
		s.LagEvents, s.LagSeconds = nil, nil
	}
	return nil
}

// partition measures one that reads up to an end; 0: without end.
func (m *measure) partition(ctx context.Context, p *PartitionStatus, end int64) error {
	if !m.head.SameIncarnation(p.token) {
		return nil // it is not known what its position means here
	}
	at, head := p.Position, m.head.Position
	if end > 0 {
		head = min(head, end)
	}
	if p.idle {
		// The cursor of one in which nothing matches moves now and then; its process reads on.
		at = max(at, p.read)
	}
	events, seconds := max(head-at, 0), 0.0
	if events > 0 {
		first, there := m.recorded[at]
		if !there {
			e, err := m.a.eventFrom(ctx, at+1)
			if err != nil {
				return err
			}
			first, m.recorded[at] = e.RecordedAt, e.RecordedAt
		}
		seconds = max(time.Since(first).Seconds(), 0)
	}
	p.LagEvents, p.LagSeconds = &events, &seconds
	if p.Rate != nil && *p.Rate > 0 {
		p.ETASeconds = new(float64(events) / *p.Rate)
	}
	return nil
}
