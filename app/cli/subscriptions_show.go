package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/delivery"
)

func (prog *Program) subscriptionsShow(d *database) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show NAME",
		Short: "Print all about a subscription: its definition, how far its partitions are, and what keeps them",
		Args:  OneArg("subscription"),
	}
	out := OutputFlag(cmd)
	target := targetFlags(cmd, d)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return target.withSubscriptions(cmd.Context(), func(op subscriptionOperator) error {
			s, err := op.Get(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			text, err := s.Definition.JSON()
			if err != nil {
				return err
			}
			return out.Print(prog.Stdout, s, func(w io.Writer) {
				subscriptionTable(w, []delivery.Status{s})
				partitionTable(w, s)
				if s.ReplayOf != "" {
					fmt.Fprintf(w, "\nreplay of %s\n", s.ReplayOf)
				}
				if len(s.Replays) > 0 {
					fmt.Fprintf(w, "\nreplays: %s\n", strings.Join(s.Replays, ", "))
				}
				fmt.Fprintf(w, "\nrevision %d: %s\n", s.Revision, text)
			})
		})
	}
	return cmd
}

func partitionTable(w io.Writer, s delivery.Status) {
	fmt.Fprintln(w, "\nPARTITION\tPOSITION\tLAG\tDELIVERED\tIN FLIGHT\tPARKED\tDEAD\tOWNER")
	for _, p := range s.Partitions {
		fmt.Fprintf(w, "%d\t%d\t%s\t%d of %d\t%d\t%d\t%d\t%s\n",
			p.Partition, p.Position, lagCell(p.LagEvents, p.LagSeconds), p.Delivered, p.Matched, p.InFlight, p.Parked, p.Dead, p.Owner)
	}
	if s.NoMember {
		fmt.Fprintln(w, "\nno process that delivers can run its target")
	}
	if f := s.Failure; f != nil {
		fmt.Fprintf(w, "\nstopped at %s", f.At.Format(timeFormat))
		if f.Position != 0 {
			fmt.Fprintf(w, " on the event at position %d", f.Position)
		}
		fmt.Fprintf(w, "\nerror: %s\nhint: %s\n", Cell(f.Error, 4000), f.Hint)
	}
	for _, p := range s.Partitions {
		for _, line := range troubles(p) {
			fmt.Fprintf(w, "\npartition %d: %s\n", p.Partition, line)
		}
	}
}

// troubles says what keeps a partition from getting on.
func troubles(p delivery.PartitionStatus) (lines []string) {
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	if p.Breaker != "" {
		say("the target is taken for down (breaker %s); it is tried next at %s", p.Breaker, timeCell(p.NextProbe))
	}
	if p.ThrottledUntil != nil {
		say("the target takes nothing until %s", timeCell(p.ThrottledUntil))
	}
	if len(p.Full) > 0 {
		say("too many events are parked, so that it reads no more; behind %s", Cell(strings.Join(p.Full, ", "), 500))
	}
	if p.Trouble != nil {
		say("since %s: %s", p.Trouble.At.Format(timeFormat), Cell(p.Trouble.Error, 4000))
	}
	if p.LastError != nil {
		say("last failure at %s: %s", p.LastError.At.Format(timeFormat), Cell(p.LastError.Error, 4000))
	}
	return lines
}
