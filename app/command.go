package app

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/httpapi"
)

// CommandOf is a command of the aggregates with state S and events E.
type CommandOf[S any, E commands.Event[S]] struct{ spec commandSpec }

// Do says that C is a command on a stream, at POST {path}/{id}/{name}.
//
// The body is C itself as JSON, unless Body says otherwise. Two of its fields may be filled in, if
// they are tagged so:
//
//	ID string    `json:"-" app:"id"`     the id in the path
//	At time.Time `json:"at" app:"time"`  when it happened, which the client may leave out: then it is now
//
// What is tagged app:"time" is the business time in the metadata of the events too. A field tagged
// app:"actor" is who App.Actor says that the request is from, whatever the client says: "" where there is none.
func Do[C commands.Command[S, E], S any, E commands.Event[S]](name string, options ...CommandOption) CommandOf[S, E] {
	return CommandOf[S, E]{newCommandSpec[C](name, options)}
}

// Create says that C is a command that makes a stream, at POST {path}. The id is the field tagged
// app:"id", and a new UUID, in the order of time, if the client left it out. The answer is 201
// Created with Location {path}/{id}.
func Create[C commands.Command[S, E], S any, E commands.Event[S]](name string, options ...CommandOption) CommandOf[S, E] {
	spec := newCommandSpec[C](name, options)
	spec.creates, spec.makesID = true, true
	return CommandOf[S, E]{spec}
}

// CommandOption is a choice about one command.
type CommandOption func(*commandSpec)

// Internal keeps a command off HTTP: only this program's own code runs it.
func Internal(s *commandSpec) { s.internal = true }

// OptionalBody takes a request without a body for one with {}. A command that is its own body needs it not if
// all of its members are filled in.
func OptionalBody(s *commandSpec) { s.optionalBody = true }

// NoLocation answers 200 without Location where a stream was made: there is nothing to GET.
func NoLocation(s *commandSpec) { s.noLocation = true }

// Body says what requests for a command look like, where that is not the command itself: B is
// decoded from the body, and build makes the command of it. An error refuses the request. Build may
// set r.ID and r.At.
func Body[B, C any](build func(r *Request, body B) (C, error)) CommandOption {
	return func(s *commandSpec) {
		s.body, s.built = reflect.TypeFor[B](), reflect.TypeFor[C]()
		s.route = func(a *httpapi.API, path string, o httpapi.CommandOptions, idVariable string, run runCommand) {
			route(a, path, o, idVariable, func(r *Request, body B) (any, error) { return build(r, body) }, run)
		}
	}
}

// Request is a command as it came.
type Request struct {
	// ID is that of the stream, as it is in the path. For a command that creates one, and for a unit, it
	// is the member "id" of the body, or a new UUID if the client left that out. Where the body has none
	// it is empty: set it, or it will be a new UUID.
	ID string
	// Now is when the request came, and At when what it is about happened: the same unless
	// something else is set.
	Now, At time.Time
	// Actor is who App.Actor says that the request is from.
	Actor string
	// Header has the headers of the request.
	Header http.Header

	options *commands.Options
	// makesID says that a new id is made where there is none.
	makesID bool
}

// commandSpec is a command without its types.
type commandSpec struct {
	name                                                 string
	command                                              reflect.Type
	creates, makesID, internal, optionalBody, noLocation bool
	// body is what requests are decoded to, and built what comes of it.
	body, built reflect.Type
	route       func(a *httpapi.API, path string, o httpapi.CommandOptions, idVariable string, run runCommand)
}

// runCommand runs a command that was made of a request.
type runCommand func(context.Context, *Request, any) (commands.Result, error)

func newCommandSpec[C any](name string, options []CommandOption) commandSpec {
	s := commandSpec{name: name, command: reflect.TypeFor[C]()}
	// Without Body the command is its own body.
	Body(func(r *Request, c C) (C, error) {
		fill(r, reflect.ValueOf(&c).Elem())
		return c, nil
	})(&s)
	s.optionalBody = isFilledIn(s.command)
	for _, option := range options {
		option(&s)
	}
	return s
}

// isFilledIn reports whether all fields of a command have a tag.
func isFilledIn(command reflect.Type) bool {
	return command.Kind() == reflect.Struct && !slices.ContainsFunc(reflect.VisibleFields(command), func(f reflect.StructField) bool {
		_, tagged := f.Tag.Lookup(tagKey)
		return !tagged
	})
}

// idMember is the member of the body that has the id, where the path has none: of a command that is
// its own body the one with the tag, of another body the text called id. It is empty if there is none.
func (s commandSpec) idMember() string {
	for _, f := range reflect.VisibleFields(s.body) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		isID := name == "id" && (f.Type == reflect.TypeFor[string]() || f.Type == reflect.TypeFor[*string]())
		if s.body == s.command {
			isID = f.Tag.Get(tagKey) == "id" && name != "-"
		}
		if isID {
			return name
		}
	}
	return ""
}

func (s commandSpec) mistakes() (all []error) {
	fail := func(format string, args ...any) {
		all = append(all, fmt.Errorf("app: command %q: "+format, append([]any{s.name}, args...)...))
	}
	if !namePattern.MatchString(s.name) {
		fail("a name has lower-case letters, digits, '_' and '-', begins with a letter, and has at most 48 bytes")
	}
	switch {
	case s.body.Kind() != reflect.Struct || s.command.Kind() != reflect.Struct:
		fail("command and body must be structs, they are %v and %v", s.command, s.body)
	case s.built != s.command:
		fail("Body makes a %v of a request, and not a %v", s.built, s.command)
	case s.body == s.command:
		all = append(all, s.fieldMistakes()...)
	}
	return all
}

// fieldMistakes are those of a command that is its own body.
func (s commandSpec) fieldMistakes() (all []error) {
	seen := make(map[string]bool)
	for _, f := range reflect.VisibleFields(s.command) {
		tag, tagged := f.Tag.Lookup(tagKey)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		named := name != ""
		want, known := tagTypes[tag]
		switch {
		case f.Anonymous && f.Type.Kind() == reflect.Pointer:
			all = append(all, fmt.Errorf("app: command %q: %s must not be embedded as a pointer", s.name, f.Name))
		case tagged && !f.IsExported():
			all = append(all, fmt.Errorf("app: command %q: field %s is tagged app:%q, so it must be exported", s.name, f.Name, tag))
		case tagged && seen[tag]:
			all = append(all, fmt.Errorf("app: command %q: two fields are tagged app:%q", s.name, tag))
		case !f.IsExported() || f.Anonymous:
		case tagged && !known:
			all = append(all, fmt.Errorf(`app: command %q: field %s is tagged app:%q; there are "id", "time" and "actor"`, s.name, f.Name, tag))
		case tagged && f.Type != want:
			all = append(all, fmt.Errorf("app: command %q: field %s is tagged app:%q, so it must be a %v", s.name, f.Name, tag, want))
		case !named && !s.internal:
			all = append(all, fmt.Errorf("app: command %q: field %s has no name in JSON: give it a tag, such as `json:%q`, or use Body",
				s.name, f.Name, strings.ToLower(f.Name)))
		}
		seen[tag] = seen[tag] || tagged
	}
	return all
}

const tagKey = "app"

// tagTypes are the types of the fields with a tag.
var tagTypes = map[string]reflect.Type{
	"id": reflect.TypeFor[string](), "time": reflect.TypeFor[time.Time](), "actor": reflect.TypeFor[string](),
}

// fill sets the fields with a tag from the request, or the request from them.
func fill(r *Request, command reflect.Value) {
	for _, f := range reflect.VisibleFields(command.Type()) {
		if f.Type != tagTypes[f.Tag.Get(tagKey)] {
			continue
		}
		switch v := command.FieldByIndex(f.Index); f.Tag.Get(tagKey) {
		case "id":
			if r.ID == "" {
				r.ID = v.String()
			}
			if r.ID == "" && r.makesID {
				r.ID = NewID()
			}
			v.SetString(r.ID)
		case "time":
			if at := v.Interface().(time.Time); !at.IsZero() {
				r.At = eventstore.Microseconds(at)
			}
			v.Set(reflect.ValueOf(r.At))
		case "actor":
			// Of a request it is nobody, rather than who the client says.
			if r.Actor != "" || r.options != nil {
				v.SetString(r.Actor)
			}
		}
	}
}

// completed returns a command of this program's own code with what a request would have filled in,
// and the id of its stream.
func (s commandSpec) completed(command any, id string, o *commands.Options) (any, string) {
	now := eventstore.Microseconds(time.Now())
	r := &Request{ID: id, Now: now, At: cmp.Or(o.At, now), Actor: o.Actor, makesID: s.makesID}
	full := reflect.New(s.command).Elem()
	full.Set(reflect.ValueOf(command))
	fill(r, full)
	o.At = r.At
	return full.Interface(), r.ID
}

// NewID returns a UUID that is later in order than those made before.
func NewID() string { return uuid.Must(uuid.NewV7()).String() }

// register adds the command, and its route if it is not internal.
func (s commandSpec) register(a *httpapi.API, category string, path resourcePath, run runCommand) {
	o := httpapi.CommandOptions{Name: category + "." + s.name, Category: category, Internal: s.internal, OptionalBody: s.optionalBody}
	if !s.creates {
		s.route(a, path.of+"/"+path.pattern+"/"+s.name, o, path.variable, run)
		return
	}
	o.IDMember = s.idMember()
	if !s.noLocation {
		o.Location = func(r commands.Result) string { return path.of + "/" + url.PathEscape(eventstore.StreamID(r.Stream)) }
	}
	s.route(a, path.of, o, "", run)
}

// route adds a route whose bodies are B.
func route[B any](a *httpapi.API, path string, o httpapi.CommandOptions, idVariable string, build func(*Request, B) (any, error), run runCommand) {
	httpapi.Command(a, http.MethodPost, path, o, func(ctx context.Context, in httpapi.CommandRequest[B]) (commands.Result, error) {
		r := &Request{ID: in.ID, Now: in.Now, At: in.Now, Actor: in.Options.Actor, Header: in.Header, options: &in.Options, makesID: idVariable == ""}
		if !r.makesID {
			r.ID = in.Path(idVariable)
		}
		command, err := build(r, in.Body)
		if err != nil {
			return commands.Result{}, err
		}
		if r.ID == "" && r.makesID {
			r.ID = NewID()
		}
		in.Options.At = r.At
		return run(ctx, r, command)
	})
}

// resourcePath is where the streams of an aggregate are: of/pattern, in which the variable is the id.
type resourcePath struct{ of, pattern, variable string }

// lastVariable may have a pattern for its values, as in {sku:[A-Z]+}.
var lastVariable = regexp.MustCompile(`^(.*)/(\{([^{}/:]+)(:[^/]*)?\})$`)

func newResourcePath(path string) resourcePath {
	if m := lastVariable.FindStringSubmatch(path); m != nil {
		return resourcePath{m[1], m[2], m[3]}
	}
	return resourcePath{path, "{id}", "id"}
}
