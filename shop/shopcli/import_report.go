package shopcli

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/57528e99/recount/shop/onlineretail"
)

// importReport is what an import prints, as JSON. The amounts are those of the file.
type importReport struct {
	Commands     int64        `json:"commands"`
	Replayed     int64        `json:"replayed"` // of them, those done by an earlier import
	Retries      int64        `json:"retries"`
	Seconds      float64      `json:"seconds"`
	Rate         float64      `json:"commands_per_second"`
	Orders       int          `json:"orders"`
	OrderLines   int          `json:"order_lines"`
	Units        int64        `json:"units"`
	Currency     string       `json:"currency"` // of the amounts, in its minor units
	GrossMinor   int64        `json:"gross_minor"`
	Returns      int          `json:"returns"`
	ReturnLines  int          `json:"return_lines"`
	RefundsMinor int64        `json:"refunds_minor"`
	NetMinor     int64        `json:"net_minor"`
	Adjustments  int          `json:"adjustments"`
	Differences  []difference `json:"differences"` // what the server has otherwise

	text string // the differences, for people
}

func (r importReport) table(w io.Writer) {
	fmt.Fprintf(w, "commands\t%d in %.1fs, %.0f/s\n", r.Commands, r.Seconds, r.Rate)
	if r.Replayed > 0 {
		fmt.Fprintf(w, "\t%d of them were done before\n", r.Replayed)
	}
	fmt.Fprintf(w, "orders\t%d with %d lines, gross %s\n", r.Orders, r.OrderLines, amount(r.GrossMinor, r.Currency))
	fmt.Fprintf(w, "returns\t%d with %d lines, refunds %s\n", r.Returns, r.ReturnLines, amount(r.RefundsMinor, r.Currency))
	fmt.Fprintf(w, "adjustments\t%d\n", r.Adjustments)
	fmt.Fprintf(w, "net\t%s\n", amount(r.NetMinor, r.Currency))
	if r.text == "" {
		fmt.Fprintln(w, "check\tthe server reports the same sales, day by day")
		return
	}
	fmt.Fprintf(w, "\n%s\n", strings.TrimSuffix(r.text, "\n"))
}

type difference struct {
	Day    string `json:"day"`
	Figure string `json:"figure"`
	File   int64  `json:"file"`
	Server int64  `json:"server"`
}

func importReportOf(t onlineretail.Totals, r onlineretail.Report, differences onlineretail.Differences) importReport {
	v := importReport{
		Commands: r.Done, Replayed: r.Replayed, Retries: r.Retries, Seconds: r.Elapsed.Seconds(), Rate: r.Rate(),
		Orders: t.Orders, OrderLines: t.OrderLines, Units: t.Units, Currency: "GBP", GrossMinor: t.GrossMinor,
		Returns: t.Returns, ReturnLines: t.ReturnLines, RefundsMinor: t.RefundsMinor,
		NetMinor: t.NetMinor(), Adjustments: t.Adjustments,
		Differences: make([]difference, 0, len(differences)),
		text:        differences.String(),
	}
	for _, d := range differences {
		v.Differences = append(v.Differences, difference{d.Day, d.Figure, d.Book, d.Server})
	}
	return v
}

// amount writes minor units, a hundred of which are one of the currency: 95533893 as 955,338.93
// GBP.
func amount(minor int64, currency string) string {
	sign := ""
	if minor < 0 {
		sign, minor = "-", -minor
	}
	whole := strconv.FormatInt(minor/100, 10)
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	return fmt.Sprintf("%s%s.%02d %s", sign, whole, minor%100, currency)
}
