package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/57528e99/recount/app/hint"
	"github.com/57528e99/recount/app/telemetry"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/mail"
	"github.com/57528e99/recount/delivery/webhook"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/httpapi/adminapi"
	"github.com/57528e99/recount/httpapi/logapi"
	"github.com/57528e99/recount/httpapi/openapi"
	"github.com/57528e99/recount/migrations"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/queries"
	"github.com/57528e99/recount/sagas"
	"github.com/57528e99/recount/security/tokens"
	"github.com/57528e99/recount/snapshots"
)

// Service is an App on a database. What it is made of may be used by itself, as long as it is not
// closed.
type Service struct {
	// App is the description, with its defaults.
	App App
	// Schema is the schema of the log.
	Schema string
	Pool   *pgxpool.Pool
	// Log is the event store, and Postgres the same with what only that can do.
	Log      Log
	Postgres *pgstore.Store
	// Rows are those of the folds of a Service in memory; nil with a database.
	Rows *projections.InMemory
	// Commands run the commands.
	Commands *Commands
	// Sagas runs the sagas; nil, if the App has none.
	Sagas *sagas.Engine
	// Reader and History read the read models, and what they were.
	Reader  *queries.Reader
	History *projections.History
	// Admin steers the projections.
	Admin *projections.Admin
	// Runner runs the projections; nil without the role.
	Runner    *projections.Runner
	Snapshots *snapshots.Store
	// Subscriptions steers the subscriptions.
	Subscriptions *delivery.Admin
	// Broker hands out the events of those that are pulled.
	Broker *delivery.Broker
	// Deliverer delivers them; nil without the role.
	Deliverer *delivery.Runner
	// Mailer sends mails.
	Mailer *mail.Mailer
	// Tokens are what others are known by; nil without a database.
	Tokens *tokens.Store
	// API has the routes, and Metrics what operators are served.
	API     *httpapi.API
	Metrics *telemetry.Metrics
	Logger  zerolog.Logger

	// refusals are requests that were refused; nil, if nobody is asked for a token.
	refusals *tokens.Refusals

	hints   hint.Program
	options Options
	// timers are those of sagas; nil, if this process delivers none.
	timers     *timers
	sagaCounts sagaCounts
	failures   failureLog
	// projections are the read models and what makes the snapshots, runs those of the modules here.
	projections, runs []projections.Projection
	// here is the App with the modules that have routes, projections and handlers here.
	here App
}

// Log is the event store of a Service.
type Log interface {
	eventstore.Store
	eventstore.MultiStreamAppender
	eventstore.ReceiptStore
	eventstore.StreamManager
	eventstore.ContentLister
	Close(context.Context) error
}

// Open connects to a database that was migrated, and makes a Service of an App. Nothing runs before
// Start. Close releases it.
func Open(ctx context.Context, a App, o Options) (_ *Service, err error) {
	s, err := newService(a, o)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close(ctx))
		}
	}()
	if s.Pool, err = openPool(ctx, o.DSN, o.MaxConns, s.App.Program); err != nil {
		return nil, err
	}
	s.Postgres, err = pgstore.Open(ctx, pgstore.Config{
		Pool: s.Pool, Schema: s.Schema, ReceiptTTL: o.ReceiptTTL, ObserveAppend: s.Metrics.Append, ObserveBatch: s.Metrics.Batch,
	})
	if err != nil {
		return nil, err
	}
	s.Log = s.Postgres
	return s, s.make()
}

// newService returns a Service that has no log yet.
func newService(a App, o Options) (_ *Service, err error) {
	if err := a.Check(); err != nil {
		return nil, err
	}
	a = a.withDefaults()
	here := a
	if here.Modules, err = a.only(o.Only); err != nil {
		return nil, err
	}
	if o.Roles == nil {
		o.Roles = Roles()
	}
	for _, role := range o.Roles {
		if !slices.Contains(Roles(), role) {
			return nil, fmt.Errorf("app: there is no role %q; there are %s", role, inWords(Roles()))
		}
	}
	o.Schema = cmp.Or(o.Schema, a.Schema, migrations.DefaultSchema)
	s := &Service{App: a, Schema: o.Schema, Logger: o.Logger, hints: hint.Program(a.Program), options: o, here: here}
	build := BuildOf(a)
	s.Metrics = telemetry.New(telemetry.Build{Version: build.Version, Revision: build.Revision, Go: build.Go})
	s.Metrics.Failed = func(err error) { s.Logger.Error().Err(err).Msg("metrics are missing") }
	return s, errors.Join(s.addMetrics(), s.newMailer())
}

// only returns the modules with the given names; all, if there are none.
func (a App) only(names []string) ([]Module, error) {
	if len(names) == 0 {
		return a.Modules, nil
	}
	var modules []Module
	var known []string
	for _, m := range a.Modules {
		known = append(known, m.Name)
		if slices.Contains(names, m.Name) {
			modules = append(modules, m)
		}
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("app: there is no module %q in %s; there are %s", name, a.Name, inWords(known))
		}
	}
	return modules, nil
}

// make makes what a Service on a log consists of.
func (s *Service) make() (err error) {
	s.Tokens = tokens.NewStore(s.Pool, s.Schema, s.App.Name, s.Postgres)
	s.Snapshots = snapshots.NewStore(s.Pool, s.Schema).ForApp(s.App.Name)
	s.Commands, err = NewCommands(s.App, s.Log, CommandsConfig{
		Snapshots: s.Snapshots, SnapshotEvery: s.options.SnapshotEvery, Logger: s.Logger, Observe: s.Metrics.Command, Now: s.options.Now,
		AllowTargets: s.options.AllowTargets, SagaFailed: s.sagaFailed,
	})
	if err != nil {
		return err
	}
	s.Sagas = s.Commands.Sagas()
	makers := s.Snapshots.Projections(s.Logger, s.Commands.SnapshotSources()...)
	s.projections = append(s.App.Projections(), makers...)
	s.runs = s.here.Projections()
	for i, source := range s.Commands.SnapshotSources() {
		if slices.Contains(s.here.Categories(), source.Category()) {
			s.runs = append(s.runs, makers[i])
		}
	}
	s.Admin = projections.NewAdmin(s.Pool, s.Schema, s.Log, s.projections...).WithHints(s.hints.In).ForApp(s.App.Name)
	if s.options.has(RoleProjections) {
		if s.Runner, err = s.NewRunner(); err != nil {
			return err
		}
	}
	s.Subscriptions = delivery.NewAdmin(s.Pool, s.Schema, s.Log, s.App.Name).WithHints(s.hints.In).WithCodec(s.Commands.Codec(), s.App.Categories()...).WithAsks(s.asks)
	if s.Broker, err = delivery.NewBroker(delivery.BrokerConfig{
		Pool: s.Pool, Schema: s.Schema, App: s.App.Name, Store: s.Log, Logger: s.Logger, Observe: s.Metrics.Delivery,
	}); err != nil {
		return err
	}
	if s.options.has(RoleDelivery) {
		if s.Deliverer, err = s.NewDeliverer(); err != nil {
			return err
		}
	}
	read := queries.Config{Pool: s.Pool, Schema: s.Schema, Projections: s.App.Projections(), Log: s.Log}
	if s.Runner != nil {
		read.Follower = s.Runner
	}
	if s.Reader, err = queries.NewReader(read); err != nil {
		return err
	}
	s.History, err = projections.NewHistory(projections.HistoryConfig{
		Pool: s.Pool, Schema: s.Schema, Store: s.Log, Codec: s.Commands.Codec(), IgnoreTypes: s.options.IgnoreTypes,
	})
	if err != nil {
		return err
	}
	s.Metrics.Watch(telemetry.Sources{Pool: s.Pool, Store: s.Postgres, Admin: s.Admin, Known: s.projections, Runner: s.Runner, Subscriptions: s.Subscriptions, Deliverer: s.Deliverer})
	s.API, err = s.newAPI(s.options)
	return err
}

// NewRunner returns a runner of all projections that has not been started: Runner, or one for
// operations on them without the role.
func (s *Service) NewRunner() (*projections.Runner, error) {
	return projections.NewRunner(projections.Config{
		App: s.App.Name, Pool: s.Pool, Schema: s.Schema, Store: s.Log, Codec: s.Commands.Codec(), Logger: s.Logger, Hints: s.hints.In,
		Categories: s.App.Categories(), IgnoreTypes: s.options.IgnoreTypes,
		BuildOnCommand: s.options.BuildOnCommand, DropUnusedAfter: s.options.DropUnusedAfter,
	}, s.runs...)
}

// TargetDialer returns what connects to targets: to no address that is not public, unless Options.AllowTargets has it.
func (s *Service) TargetDialer() *net.Dialer { return webhook.NewDialer(s.options.AllowTargets) }

// asks makes what asks servers for what is to be beside events, by the rules of TargetDialer.
func (s *Service) asks(c delivery.EnrichHTTP) (delivery.Asker, error) {
	return webhook.NewLookup(c, s.options.AllowTargets)
}

// forwardingTimeout is how long it may take to ask the log who it is.
const forwardingTimeout = 5 * time.Second

// ArchiveDir is Options.ArchiveDir.
func (s *Service) ArchiveDir() string { return s.options.ArchiveDir }

// NewDeliverer returns what delivers the subscriptions whose targets can be reached from here, which has not been started: Deliverer, or one
// to send events with that are not of the log.
func (s *Service) NewDeliverer() (*delivery.Runner, error) {
	request := func(d delivery.Definition) (delivery.Target, error) {
		return webhook.NewSigned(d, s.options.AllowTargets, s.options.WebhookKey)
	}
	targets := map[string]delivery.TargetFactory{
		delivery.KindHTTP:  request,
		delivery.KindEmail: func(d delivery.Definition) (delivery.Target, error) { return s.Mailer.Target(d) },
	}
	if s.options.WebhookKey != nil {
		targets[delivery.KindWebhook] = request
	}
	targets[delivery.KindRecount] = func(d delivery.Definition) (delivery.Target, error) {
		ctx, cancel := context.WithTimeout(context.Background(), forwardingTimeout)
		defer cancel()
		at, err := s.Log.Head(ctx)
		if err != nil {
			return nil, err
		}
		return webhook.NewForwarding(d, s.options.AllowTargets, at.Log)
	}
	for kind, target := range s.App.Targets {
		targets[kind] = func(d delivery.Definition) (delivery.Target, error) { return target(s, d) }
	}
	return delivery.NewRunner(delivery.Config{
		App: s.App.Name, Pool: s.Pool, Schema: s.Schema, Store: s.Log, Codec: s.Commands.Codec(), Logger: s.Logger,
		Subscriptions: s.here.subscriptions(s.Commands.Codec()), Targets: targets, Asks: s.asks,
		Observe: func(o delivery.Observation) {
			s.Metrics.Delivery(o)
			s.deliveryFailed(o)
		},
	})
}

// newAPI makes the routes. Without the role there are those for the health of the process alone. A
// Service with nothing but an App will do to find mistakes.
func (s *Service) newAPI(o Options) (*httpapi.API, error) {
	config := httpapi.Config{
		Logger: s.Logger, Problems: s.App.Problems(), Actor: s.App.Actor, Host: o.Host, Middleware: s.App.Middleware,
		Hint: func(err error) string { return s.hints.Of(err, "") },
	}
	if err := s.askForTokens(&config, o); err != nil {
		return nil, err
	}
	if s.Metrics != nil {
		config.Observe = s.Metrics.Request
	}
	api, err := httpapi.New(config)
	if err != nil {
		return nil, err
	}
	if s.Rows == nil {
		for _, c := range s.Checks() {
			api.AddCheck(c.Name, c.Run)
		}
		api.AddDetail("projections", s.projectionDetails)
		api.AddDetail("subscriptions", s.subscriptionDetails)
		if s.Sagas != nil {
			api.AddDetail("sagas", s.sagaDetails)
		}
	}
	if o.Roles == nil || o.has(RoleAPI) {
		if err := s.register(api); err != nil {
			return nil, err
		}
	}
	_, err = api.Handler()
	return api, err
}

// register adds the routes of all modules, those for operators, and those that say what there is.
func (s *Service) register(api *httpapi.API) error {
	codec, err := s.App.Codec()
	if err != nil {
		return err
	}
	openapi.Register(api, s.App.info(), codec)
	for _, m := range s.here.modules() {
		api.Section(m.Name, m.Problems...)
		s.registerModule(api, m)
	}
	if !s.App.OwnRoutesOnly {
		api.Section("commands", s.App.domainProblems()...)
		httpapi.Commands(api)
		adminapi.RegisterTrace(api, s.App.Program, s.Trace)
		logapi.Register(api, s.logConfig(codec))
	}
	if s.Rows == nil {
		adminapi.Register(api, s.App.Program, s.Admin, s.Subscriptions, s.Broker)
		if len(s.options.Accept) > 0 {
			acceptor, err := delivery.NewAcceptor(s.Log, s.options.Accept...)
			if err != nil {
				return err
			}
			adminapi.RegisterAccept(api, acceptor)
		}
		adminapi.RegisterWebhooks(api, s.App.Program, s.Subscriptions, adminapi.WebhookConfig{Key: s.options.WebhookKey, Allow: s.options.AllowTargets})
	}
	return nil
}

// logConfig is that of the routes by which clients append to the log. Streams and events of aggregates are not for them, nor are those of sagas.
func (s *Service) logConfig(codec *eventstore.Codec) logapi.Config {
	c := logapi.Config{Log: s.Log, Owned: []string{sagas.Category}, Known: codec, Raw: make(map[string]*eventstore.Codec)}
	for _, aggregate := range s.App.aggregates() {
		category := aggregate.Category()
		own, err := codecOf([]Aggregate{aggregate})
		if err == nil && slices.Contains(s.App.RawAppends, category) {
			c.Raw[category] = own
		} else {
			c.Owned = append(c.Owned, category)
		}
	}
	return c
}

func (s *Service) registerModule(api *httpapi.API, m Module) {
	for _, aggregate := range m.Aggregates {
		b := aggregate.unbound()
		if s.Commands != nil {
			b = s.Commands.byCategory[aggregate.Category()]
		}
		b.register(api)
	}
	for _, unit := range m.Units {
		unit.register(api, s.Commands)
	}
	for _, read := range m.Reads {
		read.register(s, api)
	}
	if m.Routes != nil {
		m.Routes(s, api)
	}
}
