package onlineretail

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
)

// Difference is a figure that the server has otherwise than the book.
type Difference struct {
	// Day is in UTC, e.g. 2010-12-01.
	Day string
	// Figure is the name that it has in the answer of the server.
	Figure       string
	Book, Server int64
}

// Differences are in the order of their days. None means that all is right.
type Differences []Difference

// String returns a table, or the empty string if there are none.
func (d Differences) String() string {
	if len(d) == 0 {
		return ""
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "day\tfigure\tbook\tserver\tdifference")
	for _, x := range d {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%+d\n", x.Day, x.Figure, x.Book, x.Server, x.Server-x.Book)
	}
	_ = w.Flush() // to memory
	return b.String()
}

// Verify compares what the server says it sold with the book, on every day from
// its first to its last. It waits, for at most RetryFor, until the read models
// have come as far as token, which is that of the Report; with an empty token it
// takes what is there. Other orders of those days, in the same currency, show as
// differences.
func Verify(ctx context.Context, c Config, book *Book, token string) (Differences, error) {
	if err := c.setDefaults(); err != nil {
		return nil, err
	}
	defer c.closeOwnClient()
	booked := book.Days()
	days := slices.Sorted(maps.Keys(booked))
	if len(days) == 0 {
		return nil, nil
	}
	sold, err := readSales(ctx, newClient(c), days[0], days[len(days)-1], c.Currency, token)
	if err != nil {
		return nil, fmt.Errorf("read the sales of %s to %s: %w", days[0], days[len(days)-1], err)
	}
	return compare(booked, sold), nil
}

// salesRow is one of the answer to GET /v1/sales?by=day.
type salesRow struct {
	Day          string `json:"day"`
	Currency     string `json:"currency"`
	Orders       int64  `json:"orders"`
	Units        int64  `json:"units"`
	GrossMinor   int64  `json:"gross_minor"`
	RefundsMinor int64  `json:"refunds_minor"`
	NetMinor     int64  `json:"net_minor"`
}

// rowOf returns what the server should say of a day.
func rowOf(t Totals) salesRow {
	return salesRow{
		Orders:       int64(t.Orders),
		Units:        t.Units,
		GrossMinor:   t.GrossMinor,
		RefundsMinor: t.RefundsMinor,
		NetMinor:     t.NetMinor(),
	}
}

// figures are in the order of figureNames.
func (s salesRow) figures() [5]int64 {
	return [5]int64{s.Orders, s.Units, s.GrossMinor, s.RefundsMinor, s.NetMinor}
}

var figureNames = [5]string{"orders", "units", "gross_minor", "refunds_minor", "net_minor"}

func compare(booked map[string]Totals, sold map[string]salesRow) (all Differences) {
	days := slices.Collect(maps.Keys(booked))
	days = slices.AppendSeq(days, maps.Keys(sold))
	slices.Sort(days)
	for _, day := range slices.Compact(days) {
		ours, theirs := rowOf(booked[day]).figures(), sold[day].figures()
		for i, name := range figureNames {
			if ours[i] != theirs[i] {
				all = append(all, Difference{day, name, ours[i], theirs[i]})
			}
		}
	}
	return all
}

// readSales returns the server's sales by day, both days inclusive.
func readSales(ctx context.Context, c *client, from, to, currency, token string) (map[string]salesRow, error) {
	sales := make(map[string]salesRow)
	query := url.Values{"by": {"day"}, "from": {from}, "to": {to}}
	for {
		rows, next, err := readPage(ctx, c, query, token)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			if row.Currency == currency {
				sales[row.Day] = row
			}
		}
		if next == "" {
			return sales, nil
		}
		query.Set("after", next)
	}
}

func readPage(ctx context.Context, c *client, query url.Values, token string) (rows []salesRow, next string, err error) {
	q := request{method: http.MethodGet, path: "/v1/sales?" + query.Encode()}
	if token != "" {
		q.header = http.Header{"Consistency-Token": {token}, "Prefer": {"wait=5"}}
	}
	a, err := c.do(ctx, q)
	if err != nil {
		return nil, "", err
	}
	var page struct {
		Items []salesRow `json:"items"`
		Next  string     `json:"next"` // null at the end
	}
	if err := json.Unmarshal(a.Body, &page); err != nil {
		return nil, "", fmt.Errorf("%v: read the answer: %w", q, err)
	}
	return page.Items, page.Next, nil
}
