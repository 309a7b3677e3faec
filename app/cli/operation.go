package cli

import (
	"context"
	"sync"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/operations"
)

// operate does an operation on t, shows its progress, and returns it when it is done.
func (prog *Program) operate(ctx context.Context, t *target, r operations.Request) (operations.Operation, error) {
	done, err := prog.operateAll(ctx, t, []operations.Request{r})
	if err != nil {
		return operations.Operation{}, err
	}
	return done[0], nil
}

// operateAll does operations of one kind on t, shows their progress, and returns those that are
// done. The error names those that failed; none keeps the others from being done.
func (prog *Program) operateAll(ctx context.Context, t *target, requests []operations.Request) ([]operations.Operation, error) {
	byServer, err := t.byServer()
	if err != nil {
		return nil, err
	}
	name := string(requests[0].Kind)
	if len(requests) == 1 {
		name += " " + requests[0].Subject
	}
	for i := range requests {
		requests[i].Actor = actor()
	}
	p := prog.Progress(name)
	show := prog.showOperation(p, len(requests) > 1)
	ops, errs := make([]operations.Operation, len(requests)), make([]error, len(requests))
	if byServer {
		var running sync.WaitGroup
		for i, r := range requests {
			running.Go(func() {
				ops[i], errs[i] = t.client.run(ctx, r, t.warnIfUnclaimed(p, show))
			})
		}
		running.Wait()
	} else {
		err = t.database.withService(ctx, t.options, func(s *app.Service) error {
			runner, err := s.NewRunner()
			if err == nil {
				ops, errs = runner.RunAll(ctx, requests, show)
			}
			return err
		})
	}
	p.End()
	if err != nil {
		return nil, t.explain(err)
	}
	return t.ended(ctx, byServer, requests, ops, errs)
}

// ended returns the operations that are done, and an error that names the others.
func (t *target) ended(ctx context.Context, byServer bool, requests []operations.Request, ops []operations.Operation, errs []error) (
	done []operations.Operation, err error) {
	var failed []error
	var names []string
	for i, err := range errs {
		switch {
		case err == nil:
			done = append(done, ops[i])
		case ctx.Err() != nil:
			return done, &Failure{ExitInterrupted, err, t.afterInterrupt(byServer, requests[i].Subject, ops[i])}
		default:
			failed, names = append(failed, t.explain(err)), append(names, requests[i].Subject)
		}
	}
	return done, t.database.prog.failedFor(string(requests[0].Kind), len(requests), names, failed)
}
