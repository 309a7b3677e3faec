package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/shop/onlineretail"
)

func (a *app) importCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "import", Short: "Load data into a running server"}
	return group(cmd, a.importOnlineRetail())
}

func (a *app) importOnlineRetail() *cobra.Command {
	var c onlineretail.Config
	cmd := &cobra.Command{
		Use:   "online-retail FILE",
		Short: "Load the invoices of Online Retail, and check the sales that come of them",
		Long: `Load the invoices of Online Retail (UCI Machine Learning Repository, saved as CSV, gzipped or not) by
way of the commands of a running server, and compare the sales that it then reports with the file.
Exit code 8 if they differ.

Run again within 24 hours, it goes on where it stopped; run once more, it changes nothing. After that the
server may have forgotten the idempotency keys, and refuses the orders that it has.`,
		Example: "  recount import online-retail online-retail.csv.gz\n  zcat online-retail.csv.gz | recount import online-retail -",
		Args:    oneArg("file"),
	}
	out := outputFlag(cmd)
	flags := cmd.Flags()
	serverFlag(flags, &c.Server, "address of the server")
	flags.IntVar(&c.Concurrency, "concurrency", 64, "how many requests to send at once")
	fromEnv(flags, "concurrency")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if c.Concurrency < 1 || c.Concurrency > onlineretail.MaxConcurrency {
			return usageError(cmd, "--concurrency must be from 1 to %d, it is %d", onlineretail.MaxConcurrency, c.Concurrency)
		}
		book, err := a.readBook(args[0])
		if err != nil {
			return err
		}
		report, err := a.load(cmd.Context(), c, "import", book)
		if err != nil {
			return err
		}
		differences, err := onlineretail.Verify(cmd.Context(), c, book, report.Token)
		if err != nil {
			return err
		}
		r := importReportOf(book.Totals(), report, differences)
		if err := out.print(a.stdout, r, r.table); err != nil {
			return err
		}
		if len(differences) > 0 {
			return &failure{exitCheckFailed, errors.New("the sales that the server reports are not those of the file"),
				"other orders of the same days and currency count too; import into a database without them"}
		}
		return nil
	}
	return cmd
}

func (a *app) readBook(name string) (*onlineretail.Book, error) {
	file := a.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, &failure{exitNotFound, err, "download it from https://archive.ics.uci.edu/dataset/352/online+retail and save it as CSV"}
		}
		defer f.Close()
		file = f
	}
	book, err := onlineretail.Read(file)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return book, nil
}

// load sends a book to a server and shows how far it is.
func (a *app) load(ctx context.Context, c onlineretail.Config, name string, book *onlineretail.Book) (onlineretail.Report, error) {
	p := a.progress(name)
	c.Progress, c.ProgressEvery = p.show, p.every()
	report, err := onlineretail.Import(ctx, c, book)
	p.end()
	if exitCode(err) == exitInterrupted {
		err = &failure{exitInterrupted, err, "import again within 24 hours: it goes on where it stopped"}
	}
	return report, err
}

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

// amount writes minor units, a hundred of which are one of the currency: 95533893 as 955,338.93 GBP.
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
