package shop

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/57528e99/recount/tests/hostile/wire"
)

// subject is what a stream of the commons is about, at one of its versions.
type subject struct {
	version int64 // -1: there is nothing yet
	order   order
	article article
}

func (s *subject) found(is bool) wire.Want {
	if !is {
		return wire.Refusal(http.StatusNotFound, "not-found")
	}
	return wire.Want{Status: http.StatusOK}
}

// would moves the stock of an article, unless a rule is against it.
func (m move) would(s *subject) wire.Want {
	if code := s.article.refusal(m); code != "" {
		return wire.Refusal(http.StatusConflict, code)
	}
	s.article.apply(m)
	return wire.Want{Status: http.StatusOK}
}

// after returns the subject as a deed leaves it, or why its answer is not the one
// that this subject gives.
func (s *subject) after(d *deed) (subject, error) {
	next := *s
	next.article.reservations = maps.Clone(s.article.reservations)
	if d.expected != nil && *d.expected != s.version {
		return next, s.refuses(d)
	}
	if right := d.would(&next); right != d.got {
		return next, fmt.Errorf("at version %d the answer is %v", s.version, right)
	}
	if d.changed() {
		next.version++
		next.order.version, next.article.version = next.version, next.version
	}
	if d.shows == nil || d.got.Status != http.StatusOK {
		return next, nil
	}
	return next, d.shows(s, d.answer)
}

// refuses checks the answer to a precondition that does not hold.
func (s *subject) refuses(d *deed) error {
	if right := (wire.Refusal(http.StatusPreconditionFailed, "precondition-failed")); d.got != right {
		return fmt.Errorf("at version %d the answer is %v", s.version, right)
	}
	p, err := wire.ReadProblem(d.answer)
	if err == nil && (p.Actual == nil || *p.Actual != s.version) {
		err = fmt.Errorf("the problem has not the actual version %d", s.version)
	}
	return err
}

// unfit is a deed whose answer cannot be.
type unfit struct {
	*deed
	err error
}

// judge puts the deeds to one stream in order: those that changed it by their
// versions, each of the others somewhere between those that were answered before
// it was sent and those that were sent after it was answered. It returns the
// subject as they leave it; it is nil if no order explains all answers.
func judge(begin subject, deeds []*deed) (end *subject, _ *unfit) {
	var changes []*deed
	for _, d := range deeds {
		if d.changed() {
			changes = append(changes, d)
		}
	}
	slices.SortStableFunc(changes, func(a, b *deed) int { return cmp.Compare(a.ack.Version, b.ack.Version) })
	states := []subject{begin}
	for i, d := range changes {
		if d.ack.Version != int64(i) || d.ack.Stream != d.stream {
			return nil, &unfit{d, fmt.Errorf("it has version %d of %q; %d commands to %q were accepted before it, each of which makes one version",
				d.ack.Version, d.ack.Stream, i, d.stream)}
		}
		if i > 0 && d.ack.Position <= changes[i-1].ack.Position {
			return nil, &unfit{d, fmt.Errorf("version %d has position %d, the version before it %d", i, d.ack.Position, changes[i-1].ack.Position)}
		}
		next, err := states[i].after(d)
		if err != nil {
			return nil, &unfit{d, fmt.Errorf("version %d: the answer is %v; %w", i, d.got, err)}
		}
		states = append(states, next)
	}
	for _, d := range deeds {
		if err := d.fits(changes, states); err != nil {
			return nil, &unfit{d, err}
		}
	}
	return &states[len(changes)], nil
}

// fits checks that a deed has a place in the order of the changes: states[i] is
// what there was before changes[i].
func (d *deed) fits(changes []*deed, states []subject) error {
	from, to := 0, len(changes)
	for i, c := range changes {
		switch {
		case c == d:
		case d.sees(c):
			from = max(from, i+1)
		case c.begun.After(d.ended):
			to = min(to, i)
		}
	}
	if d.changed() {
		if at := int(d.ack.Version); at < from || at > to {
			return fmt.Errorf("it has version %d, but was sent and answered between versions %d and %d", at, from-1, to)
		}
		return nil
	}
	if from > to {
		return fmt.Errorf("version %d was acknowledged before version %d was asked for", from-1, to)
	}
	if d.expected == nil && d.got == wire.Refusal(http.StatusConflict, "conflict") {
		if to-from > overtaken {
			return nil
		}
		return fmt.Errorf("the answer is %v, but only versions %d to %d were made in the meantime", d.got, from, to-1)
	}
	var last error
	for i := from; i <= to; i++ {
		_, err := states[i].after(d)
		if err == nil {
			return nil
		}
		last = err
	}
	return fmt.Errorf("the answer is %v, which it was at no version from %d to %d: %w", d.got, from-1, to-1, last)
}

// overtaken is how often a command is decided again before its answer is that others kept changing its stream (commands.Config.Retries):
// each time somebody else made a version.
const overtaken = 10

// sees reports whether a deed must have seen a change: a read those up to the
// position of its token, a command all that were acknowledged before it.
func (d *deed) sees(change *deed) bool {
	if d.Method == http.MethodGet {
		return change.ack.Position <= d.floor
	}
	return change.ended.Before(d.begun)
}

// settle judges all deeds, and lets the world know what they have made.
func (c *commons) settle() *unfit {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, stream := range slices.Sorted(maps.Keys(c.deeds)) {
		begin := subject{version: -1, article: article{version: -1, reservations: map[string]int64{}}}
		at := slices.IndexFunc(c.world.articles, func(a *article) bool { return stream == "stock-"+a.sku })
		if at >= 0 {
			begin.article.sku = c.world.articles[at].sku
		}
		end, wrong := judge(begin, c.deeds[stream])
		switch {
		case wrong != nil:
			return wrong
		case at >= 0:
			c.world.articles[at] = &end.article
		case end.version >= 0:
			c.world.orders = append(c.world.orders, &end.order)
		}
	}
	c.world.token = c.token
	return nil
}
