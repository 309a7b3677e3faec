package delivery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/57528e99/recount/delivery/internal/core"
	"github.com/57528e99/recount/delivery/transform"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/projections"
)

// Asker asks one server. It is used from several goroutines at once.
type Asker interface {
	// Get returns the body of an answer that says that all is well. Errors are those of a Target; of an answer that says something else they are a
	// *ResponseError.
	Get(ctx context.Context, from *url.URL) ([]byte, error)
	// Close is called after the last Get.
	Close()
}

// AskerFactory makes the Asker of an enrichment. An error keeps this process from delivering for the subscription.
type AskerFactory func(EnrichHTTP) (Asker, error)

// EnrichError says why what is to be beside an event could not be found.
type EnrichError struct {
	// Name is that of the enrichment.
	Name string
	Err  error
}

func (e *EnrichError) Error() string { return fmt.Sprintf("enrich %s: %v", e.Name, e.Err) }
func (e *EnrichError) Unwrap() error { return e.Err }

// lookups is where enrichments look. Rows is nil without a database, asks in a program that asks no servers.
type lookups struct {
	rows *projections.Lookup
	asks AskerFactory
}

// enricher finds what is to be beside events.
type enricher struct {
	all []*lookup // by name
	// ofChanges: positions of events are those of a change feed, and their versions those of the log.
	ofChanges bool
}

// lookup is one enrichment.
type lookup struct {
	name string
	Enrichment
	rows *projections.Lookup
	// paths are those of the key or of the URL.
	paths   *transform.Paths
	url     urlTemplate
	asker   Asker
	known   *answers
	breaker *core.Breaker
}

func newEnricher(d *Definition, from lookups) (*enricher, error) {
	r := &enricher{ofChanges: d.Source.Changes != nil}
	for _, name := range slices.Sorted(maps.Keys(d.Enrich)) {
		l := &lookup{name: name, Enrichment: d.Enrich[name], rows: from.rows}
		err := l.open(from)
		if err != nil {
			r.close()
			return nil, &EnrichError{name, err}
		}
		r.all = append(r.all, l)
	}
	return r, nil
}

func (l *lookup) open(from lookups) (err error) {
	if l.HTTP == nil {
		if l.rows == nil {
			return errNoRehearsal
		}
		l.paths, err = transform.NewPaths(l.Key...)
		return err
	}
	if l.url, err = parseURLTemplate(l.HTTP.URL); err != nil {
		return err
	}
	if from.asks == nil {
		return errors.New("this program asks no servers")
	}
	l.paths, l.known = l.url.paths, newAnswers(time.Duration(*l.HTTP.Cache.TTL), l.HTTP.Cache.Size)
	l.breaker = core.NewBreaker(l.HTTP.Breaker, rand.Float64)
	l.asker, err = from.asks(*l.HTTP)
	return err
}

func (r *enricher) close() {
	for _, l := range r.all {
		if l.asker != nil { // nil in whom nobody is to ask
			l.asker.Close()
		}
	}
}

// enrich returns what is to be beside an event of an attempt that has begun, as a JSON object by names; nil: nothing. Dropped: the event is not to be delivered. The error is an
// *EnrichError.
func (r *enricher) enrich(ctx context.Context, log eventstore.Token, e *Event, begun time.Time) (enriched []byte, dropped bool, err error) {
	event := e.AppendJSON(make([]byte, 0, e.Size()+512))
	if log.Position = e.Position; r.ofChanges {
		log.Position = e.Version
	}
	for _, l := range r.all {
		found, err := l.find(ctx, log, e, event, begun)
		switch nothing := new(nothingError); {
		case err == nil:
			enriched = appendFound(enriched, l.name, found)
		case ctx.Err() != nil, l.Without == WithoutFail:
			return nil, false, l.failed(err)
		case l.Without == WithoutContinue:
		case errors.As(err, &nothing):
			return nil, true, nil
		default:
			return nil, false, l.failed(err)
		}
	}
	if enriched != nil {
		enriched = append(enriched, '}')
	}
	return enriched, false, nil
}

func appendFound(to []byte, name string, found jsontext.Value) []byte {
	if to == nil {
		to = []byte{'{'}
	} else {
		to = append(to, ',')
	}
	to = append(appendString(to, name), ':')
	return append(to, found...)
}

// failed returns the error of an event of which a lookup failed, or found nothing.
func (l *lookup) failed(err error) error {
	nothing := new(nothingError)
	switch isNothing := errors.As(err, &nothing); {
	case isNothing && nothing.final:
		err = Permanent(err)
	case isNothing:
	case l.HTTP == nil:
		if outcome, _ := OutcomeOf(err); outcome == Transient {
			err = Postponed(err, 0) // no event is to blame for a read model that is behind, and others may need no row
		}
	}
	return &EnrichError{l.name, err}
}

// nothingError says that there is nothing to be found.
type nothingError struct {
	reason string
	// final: it would be so each time.
	final bool
}

func (e *nothingError) Error() string { return e.reason }

// find returns what it finds for an event, which is given as JSON, too. The error is a *nothingError if that is nothing, else the lookup failed.
func (l *lookup) find(ctx context.Context, at eventstore.Token, e *Event, event []byte, begun time.Time) (jsontext.Value, error) {
	values, u, err := l.question(event)
	switch {
	case err != nil:
		return nil, err
	case u == nil:
		return l.findRow(ctx, at, values, begun)
	}
	return l.findAnswer(ctx, u, e)
}

// question returns what is looked up for an event: the row with a key, or what is at a URL. The error is a *nothingError.
func (l *lookup) question(event []byte) (key []string, u *url.URL, err error) {
	names := l.url.names
	if l.HTTP == nil {
		names = l.Key
	}
	values := make([]string, len(names))
	for i, v := range l.paths.Find(event) {
		var ok bool
		if values[i], ok = keyValue(v); !ok {
			return nil, nil, &nothingError{fmt.Sprintf("the event has no text, number, true or false as %s", names[i]), true}
		}
	}
	if l.HTTP == nil {
		return values, nil, nil
	}
	u, ok := l.url.fill(values)
	if !ok {
		return nil, nil, &nothingError{fmt.Sprintf("there is no URL for %q as %s", values, strings.Join(names, ", ")), true}
	}
	return nil, u, nil
}

func (l *lookup) findRow(ctx context.Context, at eventstore.Token, key []string, begun time.Time) (jsontext.Value, error) {
	if l.Wait == 0 || at.Log == uuid.Nil {
		at = eventstore.Token{}
	}
	row, err := l.rows.Row(ctx, l.Projection, key, at, time.Duration(l.Wait)-time.Since(begun))
	switch {
	case err != nil:
		return nil, err
	case row == nil:
		return nil, &nothingError{fmt.Sprintf("projection %s has no row with the key %q", l.Projection, key), !at.IsZero()}
	}
	return row, nil
}

var errNotAsked = errors.New("it is not asked now, as the last requests failed or it wants a pause")

func (l *lookup) findAnswer(ctx context.Context, u *url.URL, e *Event) (jsontext.Value, error) {
	question, begun := u.String(), time.Now()
	body, ok := l.known.get(question, begun)
	// Who redrives an event wants to know anew, and for want of an answer none is to fail twice.
	if !ok || e.Redrive || e.Tried && body == nil {
		if !l.breaker.Ask(begun) {
			return nil, l.postponed(errNotAsked)
		}
		var err error
		if body, err = l.ask(ctx, u); err != nil {
			return nil, err
		}
		l.known.put(question, body, begun)
	}
	if body == nil {
		return nil, &nothingError{"the server has nothing for it", true}
	}
	return body, nil
}

// ask returns what the server answers; nil: that it has nothing. The breaker is told how it ended.
func (l *lookup) ask(ctx context.Context, u *url.URL) (body []byte, err error) {
	asking, cancel := context.WithTimeout(ctx, time.Duration(l.HTTP.Timeout))
	defer cancel()
	body, err = l.asker.Get(asking, u)
	said := new(ResponseError)
	switch body = bytes.TrimSpace(body); {
	case errors.As(err, &said) && (said.Status == http.StatusNotFound || said.Status == http.StatusGone):
		body, err = nil, nil
	case err == nil && (len(body) == 0 || string(body) == "null"):
		body = nil
	case err == nil && !IsJSON(body):
		err = &ResponseError{Status: http.StatusOK, Detail: "its body is no JSON"}
	}
	before := l.breaker.Status()
	switch outcome, after := OutcomeOf(err); {
	case err != nil && ctx.Err() != nil:
		l.breaker.Unanswered()
		err = RetryAfter(err, 0)
	case outcome == ThrottledOutcome:
		l.breaker.Answered(time.Now(), false, max(after, time.Second))
	case outcome == Done, outcome == PermanentFailure:
		l.breaker.Answered(time.Now(), err == nil || said.isOfQuestion(), 0)
	default:
		l.breaker.Answered(time.Now(), false, 0)
		if before.Open || before.FailedKeys > 0 {
			return nil, l.postponed(err)
		}
		// Of a target it would be said that others got through; here what is remembered does. Who is asked does not say what becomes of a
		// subscription to another target.
		err = RetryAfter(err, 0)
	}
	return body, err
}

// postponed returns an error of an event that waits until the server is asked again: it does not answer others either.
func (l *lookup) postponed(err error) error {
	until := l.breaker.Status()
	next := until.ThrottledUntil
	if until.NextProbe.After(next) {
		next = until.NextProbe
	}
	return Postponed(err, max(time.Until(next), 0))
}

// isOfQuestion reports whether an answer refuses what was asked for, and not who asked.
func (e *ResponseError) isOfQuestion() bool {
	return e.Status/100 == 4 && e.Status != http.StatusUnauthorized && e.Status != http.StatusForbidden
}
