package bench

import (
	"fmt"
	"time"

	"github.com/57528e99/recount/domain/goods"
	"github.com/57528e99/recount/domain/order"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/projections"
)

// noted is an event of some 200 bytes.
type noted struct {
	N    int    `json:"n"`
	Text string `json:"text"`
}

// notes is a row for each stream.
type notes struct {
	Count int64
	Sum   int64
	Text  string
	At    time.Time
}

var noteText = string(payload[:150])

func newNoteCodec() (*eventstore.Codec, error) {
	return eventstore.NewCodec(eventstore.TypeOf[noted]("Noted", 1))
}

func newNotes() projections.Projection {
	f := projections.NewFold[string, notes](projections.Table{Name: "notes", Version: 1})
	projections.Upsert(f, projections.ByID, func(row *notes, e noted, r projections.Recorded) error {
		row.Count++
		row.Sum += int64(e.N)
		row.Text, row.At = e.Text, r.RecordedAt
		return nil
	})
	return f
}

// notesPerStream is how many events one row is made of.
const notesPerStream = 3

// note is event number n.
func note(n int) (string, any) {
	return fmt.Sprintf("note-%d", n/notesPerStream), noted{n, noteText}
}

// articles is how many articles the shop has.
const articles = 2000

// placedOrder is order number n of a shop: of one of a thousand customers, with two of two thousand
// articles.
func placedOrder(n int) (string, any) {
	id := fmt.Sprint(n)
	customer := fmt.Sprintf("customer-%d", n%1000)
	line := func(article int) goods.Line {
		return goods.Line{SKU: fmt.Sprintf("SKU-%d", article%articles), Description: "Something that is sold", Quantity: 2, UnitPriceMinor: 250}
	}
	lines := []goods.Line{line(n), line(7 * (n + 1))}
	return "order-" + id, order.Placed{
		ID: id, CustomerID: &customer, Country: "Norway", Currency: "NOK", Lines: lines, TotalMinor: 1000,
		At: time.Date(2026, time.March, 1+n%28, 12, 0, 0, 0, time.UTC),
	}
}
