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

// explainEnriched says what is found for an event now, which may not be what was found when it was delivered, and whether it is dropped for that.
// Servers are not asked.
func (a *Admin) explainEnriched(ctx context.Context, d *Definition, e *eventstore.RecordedEvent) (text string, dropped bool, err error) {
	if d.Enrich == nil {
		return "", false, nil
	}
	asksNobody := func(EnrichHTTP) (Asker, error) { return nil, nil }
	target, err := prepare(d, nil, lookups{a.lookups.rows, asksNobody})
	if err != nil {
		return "", false, err
	}
	p := target.(*prepared)
	head, err := a.log.Head(ctx)
	if err != nil {
		return "", false, err
	}
	event := Event{RecordedEvent: e, MessageID: MessageID(head.Log, e)}
	given := event.AppendJSON(nil)
	unknown := false
	for _, l := range p.enricher.all {
		if l.HTTP != nil {
			text += fmt.Sprintf("; for %s a server is asked in each attempt, and not to explain it", l.name)
			unknown = true
			continue
		}
		found, err := l.find(ctx, eventstore.Token{}, &event, given, time.Time{})
		nothing := new(nothingError)
		switch {
		case err == nil:
			text += fmt.Sprintf("; %s is in projection %s now", l.name, l.Projection)
			event.Enriched = appendFound(event.Enriched, l.name, found)
		case ctx.Err() != nil:
			return "", false, ctx.Err()
		case errors.As(err, &nothing) && l.Without == WithoutDrop:
			return fmt.Sprintf("there is no %s for it now, for which it is dropped: %s", l.name, nothing.reason), true, nil
		case errors.As(err, &nothing):
			text += fmt.Sprintf("; there is no %s for it now: %s", l.name, nothing.reason)
		default:
			text += fmt.Sprintf("; %s cannot be looked up now: %v", l.name, err)
			unknown = true
		}
	}
	if event.Enriched != nil {
		event.Enriched = append(event.Enriched, '}')
	}
	if p.transform == nil || unknown {
		return text, false, nil
	}
	if bodies, err := p.transform.Apply(event.AppendJSON(nil)); err == nil && len(bodies) == 0 {
		return "its transform makes nothing of it" + text, true, nil
	}
	return text, false, nil
}
