package cli

import (
	"context"
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/operations"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/sagas"
)

// target says where operations on projections and subscriptions are done, and they are looked at: by a
// running server, or by this process straight on a database.
type target struct {
	database *database
	client   operationsClient
	// options have SnapshotEvery and IgnoreTypes: they must be as the servers on the database have
	// them.
	options app.Options
	cmd     *cobra.Command
}

func targetFlags(cmd *cobra.Command, d *database) *target {
	t := &target{database: d, client: operationsClient{orDatabase: true}, cmd: cmd}
	t.client.flags(d.prog, cmd.Flags(), "address of the server that does it, unless --database or --data says that this process does")
	return t
}

// byServer reports whether a server does it. What the command line says goes before the
// environment, in which a database goes before a server.
func (t *target) byServer() (bool, error) {
	flags := t.cmd.Flags()
	server := max(originOf(flags, "server"), originOf(flags, "header"))
	database := max(originOf(flags, "database"), originOf(flags, "data"))
	switch {
	case server == byCommandLine && database == byCommandLine:
		return false, UsageError(t.cmd, "a server does it, or this process on a database: give --server or --database, not both; --header goes with --server")
	case database != byDefault && server != byCommandLine:
		return false, nil
	case t.database.schema != t.database.prog.defaultSchema():
		return false, UsageError(t.cmd, "a server works on the schema that it was started with: leave out --schema %s, or name the database", t.database.schema)
	case flags.Lookup("ignore-types") != nil && originOf(flags, "ignore-types") == byCommandLine:
		return false, UsageError(t.cmd, "a server ignores the event types that it was started with: leave out --ignore-types, or name the database")
	case flags.Lookup("snapshots") != nil && originOf(flags, "snapshots") == byCommandLine:
		return false, UsageError(t.cmd, "a server makes snapshots as often as it was started with: leave out --snapshots, or name the database")
	}
	return true, nil
}

// with gives the operator of projections that the flags name.
func (t *target) with(ctx context.Context, use func(operator) error) error {
	return t.do(ctx, func() error { return use(&t.client) }, func(s *app.Service) error { return use(s.Admin) })
}

// withSubscriptions gives that of subscriptions.
func (t *target) withSubscriptions(ctx context.Context, use func(subscriptionOperator) error) error {
	return t.do(ctx, func() error { return use(subscriptionsClient{&t.client}) },
		func(s *app.Service) error { return use(subscriptionsAdmin{s.Subscriptions}) })
}

// withSagas gives that of sagas.
func (t *target) withSagas(ctx context.Context, use func(sagaOperator) error) error {
	return t.do(ctx, func() error { return use(sagasClient{&t.client}) }, func(s *app.Service) error { return use(s.SagaAdmin()) })
}

// isPulled returns an error unless a subscription is pulled.
func (t *target) isPulled(ctx context.Context, name string) error {
	return t.withSubscriptions(ctx, func(op subscriptionOperator) error {
		s, err := op.Get(ctx, name)
		if err == nil && s.Definition.Target.Pull == nil {
			err = delivery.ErrNotPulled
		}
		return err
	})
}

// withPuller gives what hands out the events of subscriptions.
func (t *target) withPuller(ctx context.Context, use func(delivery.Puller) error) error {
	return t.do(ctx, func() error { return use(pullClient{&t.client}) }, func(s *app.Service) error {
		if err := s.Broker.Start(ctx); err != nil {
			return err
		}
		return use(s.Broker)
	})
}

// do does something by the server or on the database, as the flags say.
func (t *target) do(ctx context.Context, byClient func() error, onDatabase func(*app.Service) error) error {
	byServer, err := t.byServer()
	switch {
	case err != nil:
		return err
	case byServer:
		err = byClient()
	default:
		err = t.database.withService(ctx, t.options, onDatabase)
	}
	return t.explain(err)
}

// explain adds what to do about an error: the command that shows what there is.
func (t *target) explain(err error) error {
	var advice string
	var busy *operations.BusyError
	switch {
	case errors.As(err, &busy):
		advice = t.database.prog.hints().Of(err, t.flags())
	case errors.Is(err, operations.ErrBusy):
		advice = "wait for it, or cancel it: " + t.cancelCommand("OPERATION")
	case errors.Is(err, delivery.ErrNotFound):
		advice = "{program} subscriptions ls" + t.flags() + " lists them"
	case errors.Is(err, delivery.ErrNotPulled):
		advice = "{program} subscriptions ls" + t.flags() + " says where events go"
	case errors.Is(err, delivery.ErrNoDeadLetter):
		advice = "{program} dead ls NAME" + t.flags() + " lists them, {program} subscriptions explain NAME POSITION" + t.flags() + " says what became of an event"
	case errors.Is(err, delivery.ErrHasDeadLetters):
		advice = "look at them: {program} dead ls NAME" + t.flags() + "; --discard-dead removes them as well"
	case errors.Is(err, delivery.ErrReplaysRefused):
		advice = "--allow lets the events come again this once"
	case errors.Is(err, delivery.ErrReplayRunning), errors.Is(err, delivery.ErrIsReplay):
		advice = "{program} subscriptions replays NAME" + t.flags() + " lists them, {program} subscriptions delete REPLAY" + t.flags() + " ends one"
	case errors.Is(err, delivery.ErrNotStopped), errors.Is(err, delivery.ErrNotWaiting):
		advice = "{program} subscriptions explain NAME POSITION" + t.flags() + " says what became of an event"
	case errors.Is(err, sagas.ErrNotFound):
		advice = "{program} sagas ls" + t.flags() + " lists them"
	case errors.Is(err, sagas.ErrOver):
		advice = "{program} sagas show SAGA ID" + t.flags() + " says where it is"
	case errors.Is(err, operations.ErrInvalid):
		advice = "see " + t.cmd.CommandPath() + " --help"
	case errors.Is(err, projections.ErrNotFound):
		advice = "{program} projections ls" + t.flags() + " lists them"
	case errors.Is(err, operations.ErrNotFound):
		advice = "{program} projections show NAME" + t.flags() + " lists the last ones"
	case errors.Is(err, projections.ErrInUse):
		advice = "{program} projections ls --all" + t.flags() + " says who runs it and what the view shows"
	case errors.Is(err, projections.ErrNotFailed):
		advice = "{program} projections show NAME" + t.flags() + " says what it is doing"
	default:
		return err
	}
	return &Failure{ExitCode(err), err, advice}
}

// has reports whether the log has a projection of that name.
func (t *target) has(ctx context.Context, name string) (found bool, err error) {
	err = t.with(ctx, func(op operator) error {
		all, err := op.List(ctx)
		found = slices.ContainsFunc(all, func(s projections.Status) bool { return s.Projection == name })
		return err
	})
	return found, err
}
