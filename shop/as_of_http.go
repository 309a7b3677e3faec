package shop

import (
	"context"
	"strconv"
	"time"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/queries"
)

// reads answers the reads of a service. Lists are pages of at most limit items, with a cursor for
// the parameter after. Orders and the history of a customer are newest first. Sales can be sorted
// by any member of their rows but the currency, e.g. sort=units, or sort=-units for the best
// sellers first; without sort they are in the order of what they are summed by.
type reads struct{ *app.Service }

// asOf reads the parameter as_of: a position in the log, or a time in RFC 3339
// up to which events count that were recorded by then. Nil: it was not given.
func asOf(p *httpapi.Params) *projections.Moment {
	text := p.Text("as_of")
	if text == "" {
		return nil
	}
	if position, err := strconv.ParseInt(text, 10, 64); err == nil && position > 0 {
		return &projections.Moment{Position: position}
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		p.Fail("as_of", "must be a position in the log, from 1, or a time as in 2011-12-09T12:50:00Z; a + in a time is sent as %2B")
	}
	return &projections.Moment{RecordedAt: at}
}

// presentOnly answers as_of where rows or sums of many streams are asked for: their past would take
// a fold of the whole log for every answer.
func presentOnly(p *httpapi.Params) {
	p.Refuse("as_of", "is not taken here: what rests on many streams is answered as it is now; it is for one order (/v1/orders/{id}) or one article (/v1/stock/{sku})")
}

// rowOf returns a row of a fold as it is, or as it was at in.Params. Only events
// of the stream {category}-{key} touch it.
func rowOf[Row any](ctx context.Context, r reads, f *projections.Fold[string, Row], category, key string, in httpapi.ReadRequest[*projections.Moment]) (Row, error) {
	if in.Params == nil {
		return queries.Get(ctx, r.Reader, f, key, in.Token)
	}
	row, found, err := projections.AsOf(ctx, r.History, f, key, category+"-"+key, *in.Params)
	if err == nil && !found {
		err = queries.ErrNotFound
	}
	return row, err
}
