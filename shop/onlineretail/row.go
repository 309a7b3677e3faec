package onlineretail

import (
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/57528e99/recount/domain/goods"
)

type column int

const (
	invoiceNo column = iota
	stockCode
	description
	quantity
	invoiceDate
	unitPrice
	customerID
	country
	numColumns
)

var columnNames = [numColumns]string{
	"InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country",
}

// row is one line of the file.
type row struct {
	kind       Kind
	number     string
	at         time.Time
	customerID string
	country    string
	line       goods.Line
}

// parse reads a record. Its texts share memory with the record. The LineError
// lacks its line.
func (p *parser) parse(record []string) (r row, _ *LineError) {
	if len(record) != p.width {
		return r, &LineError{Reason: fmt.Sprintf("must have %d columns as the header has, it has %d", p.width, len(record))}
	}
	cell := func(c column) string { return record[p.columns[c]] }
	fault := func(c column, reason string) (row, *LineError) {
		return row{}, &LineError{Column: columnNames[c], Value: cell(c), Reason: reason}
	}

	// With 32 bits there is no smallest number whose negative is itself.
	units, err := strconv.ParseInt(cell(quantity), 10, 32)
	if err != nil || units == 0 {
		return fault(quantity, "must be a whole number other than 0, e.g. 6")
	}
	pence, ok := parsePence(cell(unitPrice))
	if !ok {
		return fault(unitPrice, "must be pounds with at most two decimals, e.g. 2.55")
	}
	if r.at, ok = parseTime(cell(invoiceDate)); !ok {
		return fault(invoiceDate, "must be a time such as 2010-12-01T08:26:00Z or 2010-12-01 08:26:00")
	}
	r.number = cell(invoiceNo)
	digits, isReturn := strings.CutPrefix(r.number, "C")
	switch {
	case !isDigits(digits):
		return fault(invoiceNo, "must be digits, or C and digits for a return")
	case isReturn && units > 0:
		return fault(quantity, "must be below 0 in a return")
	case isReturn:
		r.kind = Return
	case units > 0:
		r.kind = Order
	case pence != 0:
		return fault(unitPrice, "must be 0 where Quantity is below 0, which is a stock adjustment")
	default:
		r.kind = Adjustment
	}
	r.customerID, r.country = cell(customerID), cell(country)
	r.line = goods.Line{
		SKU:            cell(stockCode),
		Description:    cell(description),
		Quantity:       max(units, -units),
		UnitPriceMinor: pence,
	}
	if c, reason := r.check(); reason != "" {
		return fault(c, reason)
	}
	return r, nil
}

// check applies the server's own rules, so that it will not refuse a line in the
// middle of an import. It returns what a column must be, or no reason.
func (r row) check() (c column, reason string) {
	var customer *string
	if r.customerID != "" {
		customer = &r.customerID
	}
	checks := []struct {
		column column
		err    error
	}{
		{invoiceNo, goods.CheckID("", r.number)},
		{customerID, goods.CheckCustomerID("", customer)},
		{country, goods.CheckCountry("", r.country)},
		{stockCode, goods.CheckLines([]goods.Line{r.line})},
	}
	for _, check := range checks {
		var invalid *goods.InvalidError
		ok := errors.As(check.err, &invalid)
		if !ok {
			continue
		}
		if c, ok := columnOfField[path.Base(invalid.Field)]; ok {
			return c, invalid.Reason
		}
		return check.column, invalid.Reason
	}
	return 0, ""
}

// columnOfField is by the fields of goods.Line.
var columnOfField = map[string]column{
	"sku":              stockCode,
	"description":      description,
	"quantity":         quantity,
	"unit_price_minor": unitPrice,
}

// parsePence reads pounds with at most two decimals. It refuses what would need
// rounding.
func parsePence(s string) (pence int64, ok bool) {
	pounds, decimals, point := strings.Cut(s, ".")
	if !isDigits(pounds) || len(decimals) > 2 || point && !isDigits(decimals) {
		return 0, false
	}
	pence, err := strconv.ParseInt(pounds+(decimals + "00")[:2], 10, 64)
	return pence, err == nil
}

// parseTime reads a time of RFC 3339, or one as spreadsheets write it, in UTC.
func parseTime(s string) (at time.Time, ok bool) {
	for _, layout := range []string{time.RFC3339, time.DateTime} {
		at, err := time.Parse(layout, s)
		if err != nil {
			continue
		}
		if at, err = goods.BusinessTime("", at); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}

func isDigits(s string) bool {
	for _, r := range s {
		if r < '0' || r > '9' {
			return false
		}
	}
	return s != ""
}
