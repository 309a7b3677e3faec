package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/httpapi"
)

// Start makes sure that the log is the App's, or is to be, and starts what the roles say. What it
// starts runs until Close, not only until ctx ends: requests that are still served wait for it.
func (s *Service) Start(ctx context.Context) error {
	if s.Rows == nil {
		if err := s.enterLog(ctx); err != nil {
			return err
		}
	}
	if s.App.Setup != nil {
		if err := s.App.Setup(ctx, s); err != nil {
			return fmt.Errorf("set %s up: %w", s.App.Name, err)
		}
	}
	if s.Rows == nil && s.options.has(RoleAPI) {
		if err := s.tryReads(ctx); err != nil {
			return err
		}
	}
	ctx = context.WithoutCancel(ctx)
	if s.Runner != nil {
		if err := s.Runner.Start(ctx); err != nil {
			return fmt.Errorf("start projections: %w", err)
		}
	}
	if s.Deliverer != nil {
		if err := s.Deliverer.Start(WithService(ctx, s)); err != nil {
			return fmt.Errorf("start delivery: %w", err)
		}
	}
	if s.Sagas != nil && (s.Deliverer != nil || s.Rows != nil) {
		if err := s.beginSchedules(ctx); err != nil {
			return err
		}
	}
	if s.Deliverer != nil && s.Sagas != nil {
		s.timers = newTimers(s)
		if err := s.timers.start(ctx); err != nil {
			return fmt.Errorf("start timers of sagas: %w", err)
		}
	}
	if s.refusals != nil {
		if err := s.refusals.Start(ctx); err != nil {
			return fmt.Errorf("start telling of refusals: %w", err)
		}
	}
	if s.Broker != nil {
		if err := s.Broker.Start(ctx); err != nil {
			return fmt.Errorf("start handing out events: %w", err)
		}
	}
	return nil
}

func (s *Service) enterLog(ctx context.Context) error {
	if err := s.Postgres.CheckAdopted(ctx); err != nil {
		// Reads work all the same, and somebody may want to look before adopting it.
		s.Logger.Error().Err(err).Str("hint", s.hints.Of(err, "")).Msg("appends are disabled")
	}
	if s.options.AdoptLog {
		return s.Admin.Join(ctx)
	}
	return s.Admin.Enter(ctx)
}

// Serve answers requests until ctx ends, and those that are being worked on then. Operators are
// served on admin, unless it is nil, for as long: metrics and profiles.
func (s *Service) Serve(ctx context.Context, ln, admin net.Listener) error {
	if s.Broker != nil {
		defer context.AfterFunc(ctx, s.Broker.EndWaits)()
	}
	if admin == nil {
		return s.API.Serve(ctx, ln, httpapi.ServeOptions{})
	}
	adminCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	served := make(chan error, 1)
	go func() {
		err := s.Metrics.Serve(adminCtx, admin, s.options.AdminHosts...)
		cancel() // nobody should be served without being seen
		served <- err
	}()
	err := s.API.Serve(ctx, ln, httpapi.ServeOptions{})
	stop()
	return errors.Join(err, <-served)
}

// Do runs a command, which is given as the value that decides: see Commands.Do. API.Run takes it as
// JSON.
func (s *Service) Do(ctx context.Context, name, id string, command any, o commands.Options) (commands.Result, error) {
	return s.Commands.Do(ctx, name, id, command, o)
}

// closeTimeout bounds each part of a goodbye that should take no time.
const closeTimeout = 10 * time.Second

// Close stops what runs, from the outside in: delivery and projections give back what they have, the log
// writes what waits. Each of the seven takes 10 s at most.
func (s *Service) Close(ctx context.Context) error {
	var errs []error
	end := func(what string, f func(context.Context) error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		if err := f(ctx); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", what, err))
		}
	}
	if s.Broker != nil {
		end("stop handing out events", s.Broker.Stop)
	}
	if s.timers != nil {
		end("stop timers of sagas", s.timers.loop.Stop)
	}
	if s.Deliverer != nil {
		end("stop delivery", s.Deliverer.Stop)
	}
	if s.Sagas != nil {
		s.Sagas.Close()
	}
	if s.Runner != nil {
		end("stop projections", s.Runner.Stop)
	}
	if s.refusals != nil {
		end("stop telling of refusals", s.refusals.Stop)
	}
	if s.Log != nil {
		end("close the log", s.Log.Close)
	}
	if s.Pool != nil {
		end("close the pool", func(ctx context.Context) error { return closePool(ctx, s.Pool) })
	}
	return errors.Join(errs...)
}
