package app

import (
	"github.com/57528e99/recount/eventstore/memstore"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/queries"
)

// InMemory makes a Service of an App that needs no database and keeps everything in memory until
// Close: for tests, see package apptest. It has all commands and routes of the App, and the rows of
// its folds, which each read takes as far as the log is. What needs PostgreSQL it lacks: Pool, Postgres,
// Admin, Runner, Subscriptions, Deliverer, Snapshots and the routes for operators are nil, and SQL is
// refused. Of Options DSN, Schema, MaxConns and Roles have no meaning.
func InMemory(a App, o Options) (*Service, error) {
	s, err := newService(a, o)
	if err != nil {
		return nil, err
	}
	s.Log = memstore.New(memstore.Config{Now: s.options.Now})
	s.Commands, err = NewCommands(s.App, s.Log, CommandsConfig{
		Logger: s.Logger, Observe: s.Metrics.Command, Now: s.options.Now, AllowTargets: s.options.AllowTargets, SagaFailed: s.sagaFailed,
	})
	if err != nil {
		return nil, err
	}
	s.Sagas = s.Commands.Sagas()
	if s.Rows, err = projections.NewInMemory(s.Log, s.Commands.Codec(), s.App.Projections()...); err != nil {
		return nil, err
	}
	if s.Reader, err = queries.NewReader(queries.Config{InMemory: s.Rows, Log: s.Log}); err != nil {
		return nil, err
	}
	s.History, err = projections.NewHistory(projections.HistoryConfig{
		Store: s.Log, Codec: s.Commands.Codec(), IgnoreTypes: s.options.IgnoreTypes,
	})
	if err != nil {
		return nil, err
	}
	s.API, err = s.newAPI(s.options)
	return s, err
}
