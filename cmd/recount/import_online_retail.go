package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/shop/onlineretail"
)

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
