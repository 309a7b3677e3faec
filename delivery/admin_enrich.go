package delivery

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/projections"
)

// checkEnrich returns an *InvalidError for projections that are not there, and for keys that are not theirs.
func (a *Admin) checkEnrich(ctx context.Context, d *Definition) error {
	c := &checker{}
	for _, name := range slices.Sorted(maps.Keys(d.Enrich)) {
		e := d.Enrich[name]
		if e.HTTP != nil {
			continue
		}
		key, err := a.lookups.rows.Key(ctx, e.Projection)
		switch {
		case errors.Is(err, projections.ErrNotFound):
			there, err := a.lookups.rows.Projections(ctx)
			if err != nil {
				return err
			}
			known := "there is none yet: run the program that has it first"
			if len(there) > 0 {
				known = "there are " + strings.Join(there, ", ")
			}
			c.wrong("/enrich/"+name+"/projection", "is not there: %s", known)
		case err != nil:
			return err
		case len(key) == 0:
			c.wrong("/enrich/"+name+"/projection", "must be one whose rows have a key")
		case len(key) != len(e.Key):
			c.wrong("/enrich/"+name+"/key", "must be %d, the paths of the key of %s: %s", len(key), e.Projection, strings.Join(key, ", "))
		}
	}
	if len(c.mistakes) > 0 {
		return &InvalidError{d.Name, c.mistakes}
	}
	return nil
}

// explained is what is known of the lookups for an event without asking servers.
type explained struct {
	text string
	// dropped: it is not delivered; fails: it fails for good; the first says why in text alone.
	dropped, fails bool
	// depends: it is delivered or dropped, or fails, by what is found for it in each attempt.
	depends bool
}

// explainEnriched says what is found for an event now, which may not be what was found when it was delivered. Servers are not asked.
func (a *Admin) explainEnriched(ctx context.Context, d *Definition, e *eventstore.RecordedEvent) (x explained, err error) {
	if d.Enrich == nil {
		return x, nil
	}
	asksNobody := func(EnrichHTTP) (Asker, error) { return nil, nil }
	target, err := prepare(d, nil, lookups{a.lookups.rows, asksNobody})
	if err != nil {
		return x, err
	}
	head, err := a.log.Head(ctx)
	if err != nil {
		return x, err
	}
	p := target.(*prepared)
	event := Event{RecordedEvent: e, MessageID: MessageID(head.Log, e)}
	given := event.AppendJSON(nil)
	unknown := false
	for _, l := range p.enricher.all {
		_, u, err := l.question(given)
		if u != nil {
			x.text += fmt.Sprintf("; for %s a server is asked in each attempt, and not to explain it", l.name)
			x.depends, unknown = x.depends || l.Without != WithoutContinue, true
			continue
		}
		var found []byte
		if err == nil {
			found, err = l.find(ctx, eventstore.Token{}, &event, given, time.Time{})
		}
		nothing := new(nothingError)
		isNothing := errors.As(err, &nothing)
		switch {
		case err == nil:
			x.text += fmt.Sprintf("; %s is in projection %s now", l.name, l.Projection)
			event.Enriched = appendFound(event.Enriched, l.name, found)
		case ctx.Err() != nil:
			return x, ctx.Err()
		case isNothing && nothing.final && l.Without == WithoutDrop: // of the event alone, as it was then
			return explained{text: fmt.Sprintf("there is no %s for it now, for which it is dropped: %s", l.name, nothing.reason), dropped: true}, nil
		case isNothing && nothing.final && l.Without == WithoutFail:
			return explained{text: fmt.Sprintf("; there is no %s for it: %s", l.name, nothing.reason), fails: true}, nil
		case isNothing:
			x.text += fmt.Sprintf("; there is no %s for it now: %s", l.name, nothing.reason)
			x.depends, unknown = x.depends || l.Without != WithoutContinue, unknown || l.Without != WithoutContinue
		default:
			x.text += fmt.Sprintf("; %s cannot be looked up now: %v", l.name, err)
			x.depends, unknown = x.depends || l.Without != WithoutContinue, true
		}
	}
	if event.Enriched != nil {
		event.Enriched = append(event.Enriched, '}')
	}
	if p.transform == nil || unknown {
		return x, nil
	}
	if bodies, err := p.transform.Apply(event.AppendJSON(nil)); err == nil && len(bodies) == 0 {
		return explained{text: "its transform makes nothing of it" + x.text, dropped: true}, nil
	}
	return x, nil
}

// mayDrop reports whether an event may be dropped for what is not found.
func (d *Definition) mayDrop() bool {
	for _, e := range d.Enrich {
		if e.Without == WithoutDrop {
			return true
		}
	}
	return false
}
