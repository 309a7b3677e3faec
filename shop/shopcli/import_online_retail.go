package shopcli

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/app/cli"
	"github.com/57528e99/recount/shop/onlineretail"
)

func (prog program) importOnlineRetail() *cobra.Command {
	var c onlineretail.Config
	cmd := &cobra.Command{
		Use:   "online-retail FILE",
		Short: "Load the invoices of Online Retail, and check the sales that come of them",
		Long: `Load the invoices of Online Retail (UCI Machine Learning Repository, saved as CSV, gzipped or not) by
way of the commands of a running server, and compare the sales that it then reports with the file.
Exit code 8 if they differ.

Run again within 24 hours, it goes on where it stopped; run once more, it changes nothing. After that the
server may have forgotten the idempotency keys, and refuses the orders that it has.`,
		Example: "  {program} import online-retail online-retail.csv.gz\n  zcat online-retail.csv.gz | {program} import online-retail -",
		Args:    cli.OneArg("file"),
	}
	out := cli.OutputFlag(cmd)
	flags := cmd.Flags()
	server := prog.ServerFlags(flags, "address of the server")
	flags.IntVar(&c.Concurrency, "concurrency", 64, "how many requests to send at once")
	cli.FromEnv(flags, "concurrency")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if c.Concurrency < 1 || c.Concurrency > onlineretail.MaxConcurrency {
			return cli.UsageError(cmd, "--concurrency must be from 1 to %d, it is %d", onlineretail.MaxConcurrency, c.Concurrency)
		}
		var err error
		if c.Server, c.Header, err = server(); err != nil {
			return err
		}
		book, err := prog.readBook(args[0])
		if err != nil {
			return err
		}
		report, err := prog.load(cmd.Context(), c, "import", book)
		if err != nil {
			return err
		}
		differences, err := onlineretail.Verify(cmd.Context(), c, book, report.Token)
		if err != nil {
			return err
		}
		r := importReportOf(book.Totals(), report, differences)
		if err := out.Print(prog.Stdout, r, r.table); err != nil {
			return err
		}
		if len(differences) > 0 {
			return cli.Fail(cli.ExitCheckFailed, errors.New("the sales that the server reports are not those of the file"),
				"other orders of the same days and currency count too; import into a database without them")
		}
		return nil
	}
	return cmd
}

func (prog program) readBook(name string) (*onlineretail.Book, error) {
	file := prog.Stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, cli.Fail(cli.ExitNotFound, err, "download it from https://archive.ics.uci.edu/dataset/352/online+retail and save it as CSV")
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
func (prog program) load(ctx context.Context, c onlineretail.Config, name string, book *onlineretail.Book) (onlineretail.Report, error) {
	p := prog.Progress(name)
	c.Progress, c.ProgressEvery = func(r onlineretail.Report) { p.Say(progressOf(r)) }, p.Every()
	report, err := onlineretail.Import(ctx, c, book)
	p.End()
	if cli.ExitCode(err) == cli.ExitInterrupted {
		err = cli.Fail(cli.ExitInterrupted, err, "import again within 24 hours: it goes on where it stopped")
	}
	return report, err
}

// progressOf says in a line how far an import is.
func progressOf(r onlineretail.Report) string {
	done := fmt.Sprintf("%d of %d", r.Done, r.Total)
	if r.Done == r.Total {
		done = fmt.Sprintf("all %d", r.Total)
	}
	line := fmt.Sprintf("%s commands, %.0f/s", done, r.Rate())
	if r.Replayed > 0 {
		line += fmt.Sprintf(", %d of them done before", r.Replayed)
	}
	if r.Retries > 0 {
		line += fmt.Sprintf(", %d retries (%s)", r.Retries, cli.Cell(fmt.Sprint(r.Trouble), 100))
	}
	return line
}
