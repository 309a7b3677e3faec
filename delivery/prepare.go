package delivery

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/delivery/transform"
	"github.com/57528e99/recount/eventstore"
)

// isPrepared reports whether the target gets something else than the events.
func (d *Definition) isPrepared() bool { return d.Transform != nil || d.Enrich != nil }

// prepare returns a Target that hands to another what the definition makes of events.
func prepare(d *Definition, target Target, from lookups) (Target, error) {
	if !d.isPrepared() {
		return target, nil
	}
	p := &prepared{Target: target, atOnce: max(d.Batch.MaxEvents, 1)}
	var err error
	if d.Transform != nil {
		config := *d.Transform
		config.Sample = nil // it is for who writes the definition: what is stored must not fail on it some day
		if p.transform, err = transform.Compile(config); err != nil {
			return nil, err
		}
	}
	if d.Enrich != nil {
		if p.enricher, err = newEnricher(d, from); err != nil {
			return nil, err
		}
	}
	if tx, ok := target.(Transactional); ok {
		return &preparedTx{p, tx}, nil
	}
	return p, nil
}

// prepared hands to a Target what becomes of events. An event of which several come is delivered if all of them are; one of
// which nothing comes is delivered.
type prepared struct {
	Target
	enricher  *enricher            // nil: nothing is looked up
	transform *transform.Transform // nil: the target gets the data as they are
	// atOnce is how many events the target takes.
	atOnce int
}

// closeLookups closes what a Target asks that prepare returned, and leaves the Target itself.
func closeLookups(target Target) {
	switch p := target.(type) {
	case *prepared:
		p.closeLookups()
	case *preparedTx:
		p.closeLookups()
	}
}

func (p *prepared) closeLookups() {
	if p.enricher != nil {
		p.enricher.close()
	}
}

// Close closes the Target, if it can be.
func (p *prepared) Close() {
	p.closeLookups()
	if c, ok := p.Target.(interface{ Close() }); ok {
		c.Close()
	}
}

// preparedTx is prepared for a Target that works in a transaction.
type preparedTx struct {
	*prepared
	tx Transactional
}

// lookUp finds what is to be beside the events, before a transaction begins: it may take long, and others wait for transactions. What became of it
// is in the events, and DeliverTx gets those for which it did not fail.
func (p *preparedTx) lookUp(ctx context.Context, d *Delivery) {
	if p.enricher == nil {
		return
	}
	begun := time.Now()
	for i := range d.Events {
		d.Events[i].looked = p.look(ctx, d.Log, &d.Events[i], begun)
	}
}

// DeliverTx implements Transactional.
func (p *preparedTx) DeliverTx(ctx context.Context, tx Tx, d *Delivery) error {
	part, begun := *d, time.Now()
	part.Events = make([]Event, 0, len(d.Events))
	for i := range d.Events {
		made, err := p.make(ctx, d.Log, &d.Events[i], begun)
		if err != nil {
			return err // nothing stays of those before
		}
		part.Events = append(part.Events, made...)
	}
	if len(part.Events) == 0 {
		return nil
	}
	return p.tx.DeliverTx(ctx, tx, &part)
}

// looked is what became of the lookups for an event.
type looked struct {
	found   []byte
	dropped bool
	err     error
}

func (p *prepared) look(ctx context.Context, log eventstore.Token, e *Event, begun time.Time) *looked {
	l := new(looked)
	func() {
		defer recoverTo(&l.err)
		l.found, l.dropped, l.err = p.enricher.enrich(ctx, log, e, begun)
	}()
	return l
}

// make returns what becomes of an event of a log and incarnation, in an attempt that has begun.
func (p *prepared) make(ctx context.Context, log eventstore.Token, e *Event, begun time.Time) ([]Event, error) {
	if p.enricher != nil {
		l := e.looked
		if l == nil {
			l = p.look(ctx, log, e, begun)
		}
		if l.err != nil || l.dropped {
			return nil, l.err
		}
		enriched := *e
		enriched.Enriched, enriched.looked = l.found, nil
		e = &enriched
	}
	if p.transform == nil {
		return []Event{*e}, nil
	}
	bodies, err := p.transform.Apply(e.AppendJSON(make([]byte, 0, e.Size()+512)))
	if failed := new(transform.FailedError); errors.As(err, &failed) && !failed.Limited {
		return nil, &decodeError{Permanent(err)}
	}
	if err != nil {
		return nil, err
	}
	made := make([]Event, len(bodies))
	for i, body := range bodies {
		made[i] = *e
		made[i].Enriched = nil
		recorded := *e.RecordedEvent
		recorded.Data, recorded.ContentType = body, eventstore.ContentTypeJSON
		if made[i].RecordedEvent = &recorded; len(bodies) > 1 {
			made[i].MessageID = uuid.NewSHA1(e.MessageID, []byte(strconv.Itoa(i)))
		}
	}
	return made, nil
}

// Deliver implements Target.
func (p *prepared) Deliver(ctx context.Context, d *Delivery) error {
	b, begun := bodies{from: d, failed: make(map[int]error), held: make(map[string]int)}, time.Now()
	for i := range d.Events {
		made, err := p.make(ctx, d.Log, &d.Events[i], begun)
		b.add(i, made, err)
	}
	for len(b.events) > 0 {
		part := b.next(p.atOnce)
		if len(part.Events) == 0 {
			break
		}
		err := p.Target.Deliver(ctx, part)
		d.Exchange = part.Exchange
		if err = b.ended(err); err != nil {
			return err
		}
	}
	if len(b.failed) == 0 {
		return nil
	}
	if err := b.failed[0]; err != nil && len(d.Events) == 1 {
		return err
	}
	return &PartialError{Failed: b.failed}
}

// bodies are what becomes of the events of a Delivery.
type bodies struct {
	from *Delivery
	// events are those that are to be delivered yet, of the indexes of; taken are the indexes of those that are being delivered.
	events []Event
	of     []int
	taken  []int
	// failed has why events are not delivered, held the first of them for each key.
	failed map[int]error
	held   map[string]int
}

// fail lets an event count as not delivered, and with it those behind it that have its key.
func (b *bodies) fail(i int, err error) {
	if b.failed[i] == nil {
		b.failed[i] = err
		if key := b.from.Events[i].Key; !b.isHeld(i) {
			b.held[key] = i
		}
	}
}

// isHeld reports whether an event of its key failed that is not behind it.
func (b *bodies) isHeld(i int) bool {
	first, ok := b.held[b.from.Events[i].Key]
	return ok && first <= i
}

func (b *bodies) add(i int, made []Event, err error) {
	switch {
	case b.isHeld(i):
		b.fail(i, errNotTried)
	case err != nil:
		b.fail(i, err)
	default:
		for range made {
			b.of = append(b.of, i)
		}
		b.events = append(b.events, made...)
	}
}

// next takes at most so many of those that are to be delivered.
func (b *bodies) next(most int) *Delivery {
	part := *b.from
	part.Events, b.taken = nil, b.taken[:0]
	for len(b.events) > 0 && len(part.Events) < most {
		if i := b.of[0]; b.isHeld(i) {
			b.fail(i, errNotTried)
		} else {
			part.Events, b.taken = append(part.Events, b.events[0]), append(b.taken, i)
		}
		b.events, b.of = b.events[1:], b.of[1:]
	}
	return &part
}

// ended notes what became of those that were taken. It returns an error of which nobody knows which event it is about: all
// are delivered again then.
func (b *bodies) ended(err error) error {
	var partial *PartialError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &partial):
		if b.taken[0] != b.taken[len(b.taken)-1] {
			return err
		}
		b.fail(b.taken[0], err)
		return nil
	case len(partial.Failed) == 0:
		return err
	}
	for i, why := range partial.Failed {
		if i < 0 || i >= len(b.taken) || why == nil {
			return fmt.Errorf("the target says that event %d of a batch of %d failed, for %v", i, len(b.taken), why)
		}
		b.fail(b.taken[i], why)
	}
	return nil
}
