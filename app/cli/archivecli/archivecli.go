// Package archivecli adds to the command line of an App: what archives of subscriptions have, whether that is what was written, and sending it to a
// subscription again. A program that keeps archives has it, and the target, see Target.
package archivecli

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/cli"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/archive"
)

// Target makes the target of a subscription that is an archive: app.App.Targets has it under delivery.KindArchive.
func Target(s *app.Service, d delivery.Definition) (delivery.Target, error) {
	return archive.New(d, archive.Config{Log: s.Log, Dir: s.ArchiveDir()})
}

// Extension returns the commands.
func Extension() cli.Extension {
	return cli.Extension{Commands: func(prog *cli.Program) []*cobra.Command {
		return []*cobra.Command{cli.Group(&cobra.Command{
			Use:   "archive",
			Short: "Look at archives of subscriptions, and send events of them again",
			Long:  `Look at archives of subscriptions, and send events of them again. An archive is a directory, or file:///directory.`,
		}, ls(prog), verify(prog), replay(prog))}
	}}
}

// timeFormat is that of tables, in UTC.
const timeFormat = "2006-01-02T15:04:05.000000Z"

// withArchive calls a function with the archive at an address.
func withArchive(address string, use func(*archive.Archive) error) (err error) {
	a, err := archive.Open(address)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	return use(a)
}

func ls(prog *cli.Program) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "ls ARCHIVE",
		Short:   "List the files of an archive, by the positions of their events",
		Example: "  {program} archive ls file:///var/lib/recount/archive/orders",
		Args:    cli.OneArg("archive"),
	}
	out := cli.OutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withArchive(args[0], func(a *archive.Archive) error {
			all, err := a.Segments(cmd.Context())
			if err != nil {
				return err
			}
			if all == nil {
				all = []archive.Segment{} // not null
			}
			return out.Print(prog.Stdout, struct {
				Items []archive.Segment `json:"items"`
			}{all}, func(w io.Writer) {
				fmt.Fprintln(w, "FIRST\tLAST\tEVENTS\tFROM\tTO\tBYTES\tPARTITION\tINCARNATION\tSHA256")
				for _, s := range all {
					fmt.Fprintf(w, "%d\t%d\t%d\t%s\t%s\t%d\t%d\t%d\t%.12s…\n", s.First, s.Last, s.Events, s.From.Format(timeFormat), s.To.Format(timeFormat), s.Bytes,
						s.Partition, s.Incarnation, s.SHA256)
				}
			})
		})
	}
	return cmd
}

func verify(prog *cli.Program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify ARCHIVE",
		Short: "Read a whole archive and say what of it is missing or not what was written; exit code 8 if anything is",
		Args:  cli.OneArg("archive"),
	}
	out := cli.OutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withArchive(args[0], func(a *archive.Archive) error {
			p := prog.Progress("verify")
			var said time.Time
			r, err := a.Verify(cmd.Context(), func(done, of int) {
				if time.Since(said) >= p.Every() && !said.IsZero() {
					p.Say(fmt.Sprintf("%d of %d files", done, of))
				}
				if said.IsZero() || time.Since(said) >= p.Every() {
					said = time.Now()
				}
			})
			if err != nil {
				return err
			}
			err = out.Print(prog.Stdout, r, func(w io.Writer) {
				fmt.Fprintf(w, "archive of %s: %d files with %d events, %d bytes", r.Subscription, r.Segments, r.Events, r.Bytes)
				if r.Segments > 0 {
					fmt.Fprintf(w, ", from %s to %s", r.From.Format(timeFormat), r.To.Format(timeFormat))
				}
				fmt.Fprintln(w)
				for _, d := range r.Damages {
					fmt.Fprintf(w, "%s\t%s\t%s\n", d.Kind, d.Key, cli.Cell(d.Detail, 200))
				}
				for _, name := range r.Others {
					fmt.Fprintf(w, "other\t%s\tnone of an archive\n", cli.Cell(name, 300))
				}
			})
			if n := len(r.Damages); err == nil && n > 0 {
				return cli.Fail(cli.ExitCheckFailed, fmt.Errorf("the archive is damaged: %d files are missing or not what was written", n), "")
			}
			return err
		})
	}
	return cmd
}
