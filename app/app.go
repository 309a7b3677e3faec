package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/57528e99/recount/app/telemetry"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/httpapi/adminapi"
	"github.com/57528e99/recount/httpapi/logapi"
	"github.com/57528e99/recount/httpapi/openapi"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/sagas"
)

// App describes a service. It is a value: nothing changes it once it is in use. Only Name must be
// set.
type App struct {
	// Name owns the service's projections and snapshots in the database. A program with another name
	// is not let on its log, unless it is told to. Lower-case letters, digits, '_' and '-', at most 48
	// bytes, the first a letter. Required.
	Name string
	// Program is how the program is called on a command line. Default: Name.
	Program string
	// Short says what the service is, in a line for the help. Default: that it is one.
	Short string
	// Version is that of the program. Default: that of the main module, as Go built it.
	Version string
	// Schema is the schema of the log in the database, where nothing else is said. Default: recount.
	Schema string
	// Modules are the parts of the service.
	Modules []Module
	// Actor says on whose behalf a request is sent: it is in the metadata of events and in the operations
	// that were asked for, and keys of idempotency are kept apart by it. It is asked once for every
	// request, reads and the routes for operators included, but for what anybody may see: the health, without
	// its details, the index at /, /problems, /openapi.json, /docs and /schemas. An error refuses the request with 401,
	// or the httpapi.Problem that it is. Default: nobody is named.
	Actor func(*http.Request) (string, error)
	// ActorHeader is the header that Actor looks at, as the OpenAPI document says it. Default: Authorization.
	ActorHeader string
	// OwnRoutesOnly serves each command by its own route alone, for who decides by method and path what a
	// client may do: /v1/commands, which runs any of them, /v1/trace/{id}, which shows any event of the App, and those of
	// the log, which append and show any event, are not there, nor do "commands" and "trace --server" on a command line work.
	// Default: they are there.
	OwnRoutesOnly bool
	// RawAppends are categories of the App's own aggregates whose streams clients may append to, and delete, event by event over HTTP: by no
	// rule of the aggregate, but only events of its types that it can read. Default: none. Streams of other categories take events of types that
	// the App does not have.
	RawAppends []string
	// Middleware is around all routes, the first outermost.
	Middleware []func(http.Handler) http.Handler
	// Targets make the targets of subscriptions that are in packages of their own, which a program links only if it uses them, by the
	// name of their member in delivery.TargetConfig. What they connect to others with is Service.TargetDialer. Default: none.
	Targets map[string]func(*Service, delivery.Definition) (delivery.Target, error)
	// Setup is called by Service.Start, before anything runs. Default: nothing.
	Setup func(context.Context, *Service) error
	// Welcome returns what somebody may try first, of a server that runs for development. Default:
	// nothing.
	Welcome func(Running) string
}

// Running is a server that runs for development.
type Running struct {
	// URL is where it is reached.
	URL string
	// Program calls the program on a command line, and Flags let its commands find the same database.
	Program, Flags string
}

// Module is a part of a service: aggregates with the read models that are made of them.
type Module struct {
	// Name tells the module from others. Required.
	Name string
	// Aggregates are kinds of streams with their events and commands.
	Aggregates []Aggregate
	// Units are commands on several streams.
	Units []Unit
	// Sagas are processes over several steps, which survive the program: all versions of them of which instances may be under way.
	Sagas []*sagas.Saga
	// Schedules are commands that run at certain times. A process with the role delivery begins them.
	Schedules []sagas.Schedule
	// Projections are the read models.
	Projections []projections.Projection
	// Subscriptions are who events of the log are sent to, with their handlers. They are made when a process with
	// the role for them starts; operators may make others.
	Subscriptions []delivery.Subscription
	// Reads are the routes that answer from the read models.
	Reads []Read
	// Routes adds whatever other routes there are. It is also called by Check, with a Service that has
	// no database: routes ask the Service when they are used. Default: none.
	Routes func(*Service, *httpapi.API)
	// Problems are what errors of the module's rules are over HTTP.
	Problems []httpapi.DomainProblem
	// Templates are files with templates of mails, which delivery.MailTemplate names. A file of that name below
	// Options.Templates is used instead. Default: none.
	Templates fs.FS
	// Invariants are what Service.Verify looks at: that sums add up, and what was begun comes to an end. Default: none.
	Invariants []Invariant
	// Metrics are metrics of the module's own. Default: none.
	Metrics []Metric
	// Migrations make tables of the module's own in the schema of the log, see migrations.OfModule.
	// Their names should begin with the App's, as other Apps may be there. Default: none.
	Migrations fs.FS
}

// Problem says what an error of a module's rules, or what wraps it, is over HTTP: its status, its code of
// lower-case words joined by '-', what has happened in a few words, and what to do about it. Where there is
// more to say, write an httpapi.DomainProblem.
func Problem(err error, status int, code, title, fix string) httpapi.DomainProblem {
	meaning := title + ". Nothing was written."
	return httpapi.DomainProblem{Err: err, Kind: httpapi.Kind{Code: code, Status: status, Title: title, Meaning: meaning, Fix: fix}}
}

// withDefaults returns the App with what was left out.
func (a App) withDefaults() App {
	a.Program = cmp.Or(a.Program, a.Name)
	a.Short = cmp.Or(a.Short, "An event-sourced service on PostgreSQL")
	return a
}

// ProgramName is Program, or what it is by default.
func (a App) ProgramName() string { return a.withDefaults().Program }

// Summary is Short, or what it is by default.
func (a App) Summary() string { return a.withDefaults().Short }

func (a App) aggregates() (all []Aggregate) {
	for _, m := range a.modules() {
		all = append(all, m.Aggregates...)
	}
	return all
}

func (a App) units() (all []Unit) {
	for _, m := range a.Modules {
		all = append(all, m.Units...)
	}
	return all
}

// Projections returns the read models, in the order of the modules.
func (a App) Projections() (all []projections.Projection) {
	for _, m := range a.modules() {
		all = append(all, m.Projections...)
	}
	return all
}

// Subscriptions returns those that the modules declare, in the order of the modules, and those of sagas.
func (a App) Subscriptions() []delivery.Subscription {
	codec, err := a.Codec()
	if err != nil {
		codec = nil // which Check reports
	}
	return a.subscriptions(codec)
}

// subscriptions are those of an App whose events a codec knows; nil: without those of sagas.
func (a App) subscriptions(codec *eventstore.Codec) (all []delivery.Subscription) {
	for _, m := range a.Modules {
		all = append(all, m.Subscriptions...)
	}
	if codec == nil {
		return all
	}
	return append(all, a.sagaSubscriptions(codec)...)
}

// Categories returns those of the service's streams.
func (a App) Categories() (all []string) {
	for _, aggregate := range a.aggregates() {
		all = append(all, aggregate.Category())
	}
	return all
}

// ModuleNames returns the names of the modules.
func (a App) ModuleNames() (all []string) {
	for _, m := range a.Modules {
		all = append(all, m.Name)
	}
	return all
}

// SnapshotDefaults says how often snapshots are made where nothing else is said: CATEGORY=N, ….
func (a App) SnapshotDefaults() string {
	var all []string
	for _, aggregate := range a.aggregates() {
		all = append(all, fmt.Sprintf("%s=%d", aggregate.Category(), aggregate.snapshotEvery()))
	}
	return strings.Join(all, ",")
}

// Codec returns the codec of all events.
func (a App) Codec() (*eventstore.Codec, error) { return codecOf(a.aggregates()) }

func codecOf(aggregates []Aggregate) (*eventstore.Codec, error) {
	var types []eventstore.Type
	for _, aggregate := range aggregates {
		types = append(types, aggregate.eventTypes()...)
	}
	return eventstore.NewCodec(types...)
}

// Problems returns what errors are over HTTP: those of the modules, and those of the routes for
// operators.
func (a App) Problems() []httpapi.DomainProblem {
	return slices.Concat(a.domainProblems(), adminapi.Problems(a.ProgramName()), logapi.Problems())
}

// domainProblems are those of the modules.
func (a App) domainProblems() (all []httpapi.DomainProblem) {
	for _, m := range a.modules() {
		all = append(all, m.Problems...)
	}
	return all
}

// OpenAPI returns the document that describes the API: what a server answers at /openapi.json.
func (a App) OpenAPI() ([]byte, error) {
	if err := a.Check(); err != nil {
		return nil, err
	}
	a = a.withDefaults()
	api, err := (&Service{App: a, here: a}).newAPI(Options{})
	if err != nil {
		return nil, err
	}
	codec, err := a.Codec()
	return openapi.Document(a.info(), api, codec), err
}

func (a App) info() openapi.Info {
	return openapi.Info{Title: a.Name, Description: a.Short, Version: BuildOf(a).Version, ActorHeader: a.ActorHeader}
}

// isNil reports whether an interface has nothing in it, or a pointer to nothing.
func isNil[T any](x T) bool {
	v := reflect.ValueOf(x)
	return !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil()
}

var namePattern = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,47}$`)

// Check reports all mistakes of the description that can be found without a database: names that
// are not valid or are given twice, events that no reader of the log could tell apart, bodies whose
// members have no names, projections and handlers of events that no aggregate has, definitions of sagas and
// subscriptions that are not right, reads of projections that no module has or that no index serves,
// routes that exclude each other.
func (a App) Check() error {
	mistakes := a.checkNames()
	if len(mistakes) > 0 {
		return errors.Join(mistakes...)
	}
	for _, aggregate := range a.aggregates() {
		mistakes = append(mistakes, aggregate.mistakes()...)
	}
	for _, unit := range a.units() {
		mistakes = append(mistakes, unit.spec.mistakes()...)
		if len(variablesOf(unit.path)) > 0 {
			mistakes = append(mistakes, fmt.Errorf("app: unit %q: its path %s must have no variables; what it is about is in the body", unit.spec.name, unit.path))
		}
	}
	for _, m := range a.Modules {
		for _, read := range m.Reads {
			for _, err := range read.mistakes(a) {
				mistakes = append(mistakes, fmt.Errorf("app: read %s: %w", read.path, err))
			}
		}
	}
	if _, err := a.Migrations(); err != nil {
		mistakes = append(mistakes, err)
	}
	codec, err := a.Codec()
	if err != nil || len(mistakes) > 0 {
		return errors.Join(append(mistakes, err)...)
	}
	if err := sagas.Check(codec, a.Sagas()...); err != nil {
		return err
	}
	mistakes = append(mistakes, a.sagaMistakes()...)
	mistakes = append(mistakes, projections.Check(codec, a.Projections()...), delivery.Check(codec, a.subscriptions(codec)...))
	s := &Service{App: a.withDefaults(), here: a, Metrics: telemetry.New(telemetry.Build{})}
	mistakes = append(mistakes, s.addMetrics())
	if _, err := s.newAPI(Options{}); err != nil {
		mistakes = append(mistakes, err)
	}
	return errors.Join(mistakes...)
}

// checkNames reports names that are missing, not valid, or given twice.
func (a App) checkNames() (mistakes []error) {
	taken := make(map[string]bool)
	name := func(kind, name string) {
		switch {
		case !namePattern.MatchString(name):
			mistakes = append(mistakes, fmt.Errorf("app: the name %q of %s must be of lower-case letters, digits, '_' and '-', "+
				"begin with a letter, and have at most 48 bytes", name, kind))
		case taken[kind+name]:
			mistakes = append(mistakes, fmt.Errorf("app: %s is called %q, as another one is", kind, name))
		}
		taken[kind+name] = true
	}
	name("the App", a.Name)
	for _, m := range a.modules() {
		name("a module", m.Name)
		if slices.Contains(m.Sagas, nil) {
			mistakes = append(mistakes, fmt.Errorf("app: a saga of module %q is nil", m.Name))
		}
		for _, p := range m.Projections {
			if isNil(p) {
				mistakes = append(mistakes, fmt.Errorf("app: a projection of module %q is nil", m.Name))
			} else if taken["a projection"+p.Name()] {
				mistakes = append(mistakes, fmt.Errorf("app: a projection is called %q, as another one is", p.Name()))
			} else {
				taken["a projection"+p.Name()] = true
			}
		}
	}
	if slices.ContainsFunc(a.aggregates(), isNil[Aggregate]) {
		return append(mistakes, errors.New("app: an aggregate of a module is nil"))
	}
	for _, category := range a.Categories() {
		if taken["a category"+category] {
			mistakes = append(mistakes, fmt.Errorf("app: two aggregates have the category %q", category))
		}
		taken["a category"+category] = true
	}
	for _, category := range a.RawAppends {
		if !taken["a category"+category] {
			mistakes = append(mistakes, fmt.Errorf("app: RawAppends has %q, which is the category of no aggregate", category))
		}
	}
	for _, unit := range a.units() {
		name("a unit", unit.spec.name)
	}
	for _, i := range a.invariants() {
		name("an invariant", i.Name)
	}
	return mistakes
}
