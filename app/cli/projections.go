package cli

import (
	"context"
	"os/user"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/57528e99/recount/operations"
	"github.com/57528e99/recount/projections"
)

func (prog *Program) projectionsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "projections", Short: "Inspect and manage projections"}
	d := prog.databaseFlags(cmd, "a server does it, see --server of the commands")
	return Group(cmd, prog.projectionsList(d), prog.projectionsShow(d), prog.projectionsPause(d), prog.projectionsResume(d),
		prog.projectionsSkip(d), prog.projectionsDrop(d), prog.projectionsRebuild(d), prog.projectionsRollback(d), prog.projectionsVerify(d),
		prog.projectionsRepair(d), prog.projectionsCancel(d))
}

// operator is what can be done with projections besides the operations on them. The errors of both
// match the same ones of package projections.
type operator interface {
	List(ctx context.Context) ([]projections.Status, error)
	Details(ctx context.Context, projection string) (projections.Details, error)
	Pause(ctx context.Context, projection, reason, actor string) error
	Resume(ctx context.Context, projection, reason, actor string) error
	Drop(ctx context.Context, projection string, version int, reason, actor string) (projections.Dropped, error)
	Skip(ctx context.Context, projection string, position int64, reason, actor string) ([]projections.Skip, error)
	Cancel(ctx context.Context, id uuid.UUID) (operations.Operation, error)
}

var (
	_ operator = (*projections.Admin)(nil)
	_ operator = (*operationsClient)(nil)
)

// reasonFlag lets an operator say why; what is said is kept.
func reasonFlag(flags *pflag.FlagSet, reason *string, of string) {
	flags.StringVar(reason, "reason", "", "why "+of+"; it is kept")
}

// actor names who gives an order.
func actor() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "unknown"
}
