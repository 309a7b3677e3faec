package commands

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/rs/zerolog"

	"github.com/57528e99/recount/eventstore"
)

// Config says how a Handler works. All but Category may be left out.
type Config struct {
	// Category is the category of the aggregate's streams: the stream of id 42
	// in category "order" is "order-42". Not empty, without '-', and not
	// beginning with '$'. Required.
	Category string
	// CacheSize is how many streams' states are kept in memory; the least
	// recently used goes first. Default: 4096. Negative: none.
	CacheSize int
	// Retries is how often one command is decided again because others wrote
	// to its stream between load and append, before the conflict is returned.
	// Default: 10. Negative: never.
	Retries int
	// Snapshots are what loading begins with. Default: none.
	Snapshots SnapshotConfig
	// Logger gets warnings about snapshots that are of no use. Default: none.
	Logger zerolog.Logger
	// Observe is told of every command that was run, by many goroutines at once.
	// Default: nobody.
	Observe func(Observation)
}

func (c Config) withDefaults() Config {
	if c.CacheSize == 0 {
		c.CacheSize = 4096
	}
	if c.Retries == 0 {
		c.Retries = 10
	}
	c.Snapshots = c.Snapshots.withDefaults(c.Category)
	return c
}

func (c Config) validate() error {
	switch {
	case c.Category == "":
		return errors.New("commands: Config.Category must be set")
	case strings.Contains(c.Category, "-"):
		return fmt.Errorf("commands: category %q must not contain '-', which ends it in a stream's name", c.Category)
	}
	if err := eventstore.ValidateStream(c.Category); err != nil {
		return fmt.Errorf("commands: category %q: %w", c.Category, err)
	}
	return c.Snapshots.validate()
}

// Handler runs the commands of one kind of aggregate, with state S and events E.
// It is safe for concurrent use, and starts no goroutines: there is nothing to
// close. Use one Handler per category and process; several are correct, but
// compete.
type Handler[S any, E Event[S]] struct {
	*writer
	config Config
	loader loader[S, E]
	cache  *cache[S]
	queue  *queue
}

// NewHandler returns a handler whose events are encoded by codec and kept in
// store. E is either one registered type, or an interface that the registered
// types of the aggregate implement.
func NewHandler[S any, E Event[S]](store eventstore.Store, codec *eventstore.Codec, c Config) (*Handler[S, E], error) {
	if store == nil || codec == nil {
		return nil, errors.New("commands: NewHandler needs a store and a codec")
	}
	if err := c.validate(); err != nil {
		return nil, err
	}
	if t := reflect.TypeFor[E](); t.Kind() != reflect.Interface {
		if _, ok := codec.TypeName(t); !ok {
			return nil, fmt.Errorf("commands: %w", &eventstore.UnknownTypeError{Type: t.String()})
		}
	}
	c = c.withDefaults()
	h := &Handler[S, E]{
		writer: newWriter(store, "to stream", c.Category, c.Observe),
		config: c,
		loader: loader[S, E]{store: store, codec: codec},
		cache:  newCache[S](c.CacheSize),
		queue:  newQueue(),
	}
	if c.Snapshots.Store != nil {
		h.loader.snapshots = &snapshotReader[S]{config: c.Snapshots, log: c.Logger}
	}
	if store.Features().StreamManagement {
		h.loader.manager, _ = store.(eventstore.StreamManager)
	}
	return h, nil
}

// Handle runs a command on the aggregate with the given id and returns when its
// events are durable. Commands on one stream run one after another.
//
// If it returns an error nothing was written, except where said:
//
//   - *RejectedError: the command's Decide refused. It wraps the refusal.
//   - *eventstore.ConflictError: the stream is not at Options.Expected, which
//     is then the error's Expected; or others kept writing to it and
//     Config.Retries did not suffice.
//   - *eventstore.ReceiptMismatchError: the receipt belongs to another request.
//   - eventstore.ErrNotSupported: a receipt was asked for that the store cannot
//     keep.
//   - *eventstore.InvalidError: the id, receipt or events cannot be stored.
//   - *eventstore.StreamDeletedError: the stream is deleted for ever.
//   - *TruncatedError, *EventError: the state cannot be loaded.
//   - eventstore.ErrOutcomeUnknown: the events may have been written or may yet
//     be. Handle the command again with the same receipt to find out; without
//     one, look at the stream first.
//   - other errors of the store, such as ErrOverloaded and ErrUnavailable, and
//     the error of ctx.
func (h *Handler[S, E]) Handle(ctx context.Context, id string, c Command[S, E], o Options) (Result, error) {
	stream, err := h.stream(id)
	if err != nil {
		return Result{}, err
	}
	return h.handle(ctx, stream, o, func(r *request) (outcome, error) { return h.runExclusive(ctx, r, c) })
}

// runExclusive runs a command while no other one of this handler runs on its stream.
func (h *Handler[S, E]) runExclusive(ctx context.Context, r *request, c Command[S, E]) (outcome, error) {
	if err := h.queue.enter(ctx, r.stream); err != nil {
		return outcome{}, fmt.Errorf("wait for stream %q: %w", r.stream, err)
	}
	// Deferred, for Decide and Evolve may panic.
	defer h.queue.leave(r.stream)
	return h.run(ctx, r, c)
}

// Load returns the state of the aggregate with the given id as the store has it
// now, and its version: -1, with the zero state, if its stream does not exist
// or is deleted. What the state refers to is shared: do not write into it.
//
// Errors are those of loading in Handle.
func (h *Handler[S, E]) Load(ctx context.Context, id string) (state S, version int64, err error) {
	stream, err := h.stream(id)
	if err != nil {
		return state, -1, err
	}
	// What is found is not cached, lest it replace the newer state of a command
	// that runs meanwhile.
	known, _ := h.cache.get(stream)
	now, err := h.loader.refresh(ctx, stream, known)
	return now.state, now.version, err
}

// Cached returns the state and version of an aggregate as this process knows them, without a look at the store, after the command that runs on
// its stream here, if one does; -1 and the zero state if it knows none. The stream was so once, and may have gone on since.
func (h *Handler[S, E]) Cached(ctx context.Context, id string) (state S, version int64) {
	stream, err := h.stream(id)
	if err == nil {
		err = h.queue.enter(ctx, stream)
	}
	if err != nil {
		return state, -1
	}
	defer h.queue.leave(stream)
	known, _ := h.cache.get(stream)
	return known.state, known.version
}

// Recorded returns the event of the aggregate with the given id that is at a version. The error matches ErrNoVersion if there is none, or it is
// not shown any more.
func (h *Handler[S, E]) Recorded(ctx context.Context, id string, version int64) (eventstore.RecordedEvent, error) {
	stream, err := h.stream(id)
	if err != nil {
		return eventstore.RecordedEvent{}, err
	}
	for e, err := range h.loader.store.ReadStream(ctx, stream, eventstore.ReadOptions{From: version, Limit: 1}) {
		switch {
		case errors.Is(err, eventstore.ErrStreamNotFound), err == nil && e.Version != version:
			return eventstore.RecordedEvent{}, fmt.Errorf("stream %q: %w", stream, ErrNoVersion)
		case err != nil:
			return eventstore.RecordedEvent{}, fmt.Errorf("read stream %q: %w", stream, err)
		}
		return e, nil
	}
	return eventstore.RecordedEvent{}, fmt.Errorf("stream %q: %w", stream, ErrNoVersion)
}

func (h *Handler[S, E]) stream(id string) (string, error) {
	if id == "" {
		return "", &eventstore.InvalidError{Field: "id", Reason: "must not be empty"}
	}
	stream := h.config.Category + "-" + id
	return stream, eventstore.ValidateStream(stream)
}
