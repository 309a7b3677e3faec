package main

import (
	"context"
	"os/user"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/57528e99/recount/operations"
	"github.com/57528e99/recount/projections"
)

func (a *app) projectionsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "projections", Short: "Inspect and manage projections"}
	d := databaseFlags(cmd, "a server does it, see --server of the commands")
	return group(cmd, a.projectionsList(d), a.projectionsShow(d), a.projectionsPause(d), a.projectionsResume(d),
		a.projectionsSkip(d), a.projectionsDrop(d), a.projectionsRebuild(d), a.projectionsRollback(d), a.projectionsVerify(d),
		a.projectionsRepair(d), a.projectionsCancel(d))
}

// operator is what can be done with projections besides the operations on them. The errors of both match
// the same ones of package projections.
type operator interface {
	List(ctx context.Context) ([]projections.Status, error)
	Details(ctx context.Context, projection string) (projections.Details, error)
	Pause(ctx context.Context, projection string) error
	Resume(ctx context.Context, projection string) error
	Drop(ctx context.Context, projection string, version int) (projections.Dropped, error)
	Skip(ctx context.Context, projection string, position int64, reason, actor string) ([]projections.Skip, error)
	Cancel(ctx context.Context, id uuid.UUID) (operations.Operation, error)
}

var (
	_ operator = (*projections.Admin)(nil)
	_ operator = (*operationsClient)(nil)
)

// actor names who gives an order.
func actor() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "unknown"
}
