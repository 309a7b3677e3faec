package delivery

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/57528e99/recount/eventstore"
)

// Subscription is one that a program declares, with the handler that its events go to.
type Subscription struct {
	// Definition is what it is. Its Name is by default the Handler's, its Target the Handler, its Filter the
	// types of events that the Handler takes.
	Definition
	// Handler is what its events go to. Nil: another target, which the Definition has.
	Handler *Handler
	// Merge returns what the subscription is to be where it is there already, as Was: perhaps another version of the program has declared
	// that, which runs beside this one. It is a function of its arguments alone. Nil: what this program declares.
	Merge func(was, is Definition) Definition
}

// Handler hands events to a function of the program. Its name is what definitions know it by. Make one
// with Handle, HandleBatch, HandleRaw, HandleTx, HandleTxBatch or HandleTxRaw.
type Handler struct {
	name    string
	takes   reflect.Type // nil: all
	deliver func(ctx context.Context, codec *eventstore.Codec, tx Tx, d *Delivery) error
	// transactional: deliver needs tx.
	transactional bool
	// each: it takes one event after another, however they are cut into batches.
	each     bool
	quick    bool
	remember bool
	// raw: it takes events as they come, and decodes none.
	raw     bool
	timeout time.Duration
}

// HandlerOption is a rare choice about a Handler.
type HandlerOption func(*Handler)

// Quick says that the function takes microseconds and waits for nothing. It is called where events are
// read, which saves the change to another goroutine: all other events wait meanwhile.
func Quick() HandlerOption { return func(h *Handler) { h.quick = true } }

// Timeout is how long an attempt may take. Its context ends then. Default: 30 s. At most 15 minutes.
func Timeout(d time.Duration) HandlerOption { return func(h *Handler) { h.timeout = d } }

// Remember makes a transactional handler have its effect once for an event across resets too, at the
// price of a row for each event.
func Remember() HandlerOption { return func(h *Handler) { h.remember = true } }

// Decoded is an event of a batch, and its value.
type Decoded[E any] struct {
	Event
	Value E
}

// Tx is the transaction of a handler. What is done in it happens once, together with the move of the
// cursor: if the handler fails, or the process, nothing of it stays. A handler does not end it.
type Tx interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
	CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, rows pgx.CopyFromSource) (int64, error)
}

// Handle returns a handler that calls f with the value of each event, which the codec decodes. E is an event
// type of the codec, or an interface that several implement. An error is one for OutcomeOf.
func Handle[E any](name string, f func(ctx context.Context, e E, at Event) error, options ...HandlerOption) *Handler {
	return newHandler[E](name, false, f != nil, options, func(ctx context.Context, codec *eventstore.Codec, _ Tx, d *Delivery) error {
		return eachEvent(codec, d, func(e E, at Event) error { return f(ctx, e, at) })
	})
}

// HandleTx is Handle for a function whose effects are in the database of the log: they are made in tx, each once.
// Events of several attempts share a transaction; one that fails is tried again without the others.
func HandleTx[E any](name string, f func(ctx context.Context, tx Tx, e E, at Event) error, options ...HandlerOption) *Handler {
	h := newHandler[E](name, true, f != nil, options, func(ctx context.Context, codec *eventstore.Codec, tx Tx, d *Delivery) error {
		for i := range d.Events {
			value, err := decode[E](codec, &d.Events[i])
			if err == nil {
				err = f(ctx, tx, value, d.of(i))
			}
			if err != nil {
				return err // nothing stays of those before
			}
		}
		return nil
	})
	h.each = true
	return h
}

// HandleBatch is Handle for a function that takes all events of an attempt, see Batch. It may return a
// *PartialError.
func HandleBatch[E any](name string, f func(ctx context.Context, events []Decoded[E]) error, options ...HandlerOption) *Handler {
	return newHandler[E](name, false, f != nil, options, func(ctx context.Context, codec *eventstore.Codec, _ Tx, d *Delivery) error {
		events, err := decodeAll[E](codec, d)
		if err != nil {
			return err // what cannot be decoded is found as what fails is
		}
		return f(ctx, events)
	})
}

// HandleTxBatch is HandleBatch with the transaction of HandleTx. What fails is found by halving the batch.
func HandleTxBatch[E any](name string, f func(ctx context.Context, tx Tx, events []Decoded[E]) error, options ...HandlerOption) *Handler {
	return newHandler[E](name, true, f != nil, options, func(ctx context.Context, codec *eventstore.Codec, tx Tx, d *Delivery) error {
		events, err := decodeAll[E](codec, d)
		if err != nil {
			return err
		}
		return f(ctx, tx, events)
	})
}

// HandleRaw is HandleBatch for events as the log has them, of all types, or as the Transform of the subscription makes them.
func HandleRaw(name string, f func(ctx context.Context, d *Delivery) error, options ...HandlerOption) *Handler {
	h := newHandler[any](name, false, f != nil, options, func(ctx context.Context, _ *eventstore.Codec, _ Tx, d *Delivery) error {
		return f(ctx, d)
	})
	h.raw = true
	return h
}

// HandleTxRaw is HandleTxBatch for events as HandleRaw has them.
func HandleTxRaw(name string, f func(ctx context.Context, tx Tx, d *Delivery) error, options ...HandlerOption) *Handler {
	h := newHandler[any](name, true, f != nil, options, func(ctx context.Context, _ *eventstore.Codec, tx Tx, d *Delivery) error {
		return f(ctx, tx, d)
	})
	h.raw = true
	return h
}

func newHandler[E any](name string, transactional, complete bool, options []HandlerOption,
	deliver func(context.Context, *eventstore.Codec, Tx, *Delivery) error) *Handler {
	h := &Handler{name: name, transactional: transactional, timeout: defaultTimeout}
	if complete {
		h.deliver = deliver
	}
	if takes := reflect.TypeFor[E](); takes != reflect.TypeFor[any]() {
		h.takes = takes
	}
	for _, o := range options {
		o(h)
	}
	return h
}

// Name returns the name that definitions know the handler by; of none it is empty.
func (h *Handler) Name() string {
	if h == nil {
		return ""
	}
	return h.name
}

// Check returns what is wrong with the handler for a program with the given codec.
func (h *Handler) Check(codec *eventstore.Codec) error {
	var err error
	switch {
	case h.name == "":
		err = errors.New("it needs a name")
	case h.deliver == nil:
		err = errors.New("it needs a function")
	case h.takes != nil && len(codec.TypeNamesOf(h.takes)) == 0:
		err = eventstore.NotAdded(h.takes)
	case h.timeout <= 0 || h.timeout > maxTimeout:
		err = fmt.Errorf("its time-out is %s, it must be above 0 and at most %s", h.timeout, maxTimeout)
	case h.quick && h.transactional:
		err = errors.New("it waits for its transaction, it cannot be Quick")
	case h.remember && !h.transactional:
		err = errors.New("it cannot Remember: only one that takes the transaction can")
	}
	if err != nil {
		return fmt.Errorf("handler %q: %w", h.name, err)
	}
	return nil
}

// filter returns the pattern for the events that the handler takes, under present and former names; nil: for all.
func (h *Handler) filter(codec *eventstore.Codec) json.RawMessage {
	if h.takes == nil {
		return nil
	}
	var names []string
	for _, name := range codec.TypeNamesOf(h.takes) {
		names = append(names, codec.Names(name)...)
	}
	text, _ := json.Marshal(map[string][]string{"type": names}) // of strings
	return text
}

// definition returns the definition of a subscription with what the handler says filled in.
func (s Subscription) definition(codec *eventstore.Codec) Definition {
	d := s.Definition
	if h := s.Handler; h != nil {
		d.Name = cmp.Or(d.Name, h.name)
		if d.Target == (TargetConfig{}) {
			d.Target.Handler = &HandlerTarget{Name: h.name}
		}
		if len(d.Filter) == 0 {
			d.Filter = h.filter(codec)
		}
	}
	return d
}

// handlerTarget is the Target of a Handler.
type handlerTarget struct {
	*Handler
	codec *eventstore.Codec
}

func (h handlerTarget) Deliver(ctx context.Context, d *Delivery) error {
	return h.deliver(ctx, h.codec, nil, d)
}

// txHandlerTarget is that of a transactional one.
type txHandlerTarget struct{ handlerTarget }

func (h txHandlerTarget) remembers() bool    { return h.remember }
func (h txHandlerTarget) eachByItself() bool { return h.each }

func (h txHandlerTarget) DeliverTx(ctx context.Context, tx Tx, d *Delivery) error {
	return h.deliver(ctx, h.codec, tx, d)
}

// target returns the Target.
func (h *Handler) target(codec *eventstore.Codec) Target {
	if h.transactional {
		return txHandlerTarget{handlerTarget{h, codec}}
	}
	return handlerTarget{h, codec}
}

// eachEvent calls f for one event after another. Behind one that fails none of its key is tried.
func eachEvent[E any](codec *eventstore.Codec, d *Delivery, f func(E, Event) error) error {
	if len(d.Events) == 1 {
		value, err := decode[E](codec, &d.Events[0])
		if err != nil {
			return err
		}
		return f(value, d.of(0))
	}
	failed, held := make(map[int]error), make(map[string]bool)
	for i := range d.Events {
		e := &d.Events[i]
		if held[e.Key] {
			failed[i] = errNotTried
			continue
		}
		value, err := decode[E](codec, e)
		if err == nil {
			err = f(value, d.of(i))
		}
		if err != nil {
			failed[i], held[e.Key] = err, true
		}
	}
	if len(failed) > 0 {
		return &PartialError{Failed: failed}
	}
	return nil
}

// errNotTried is the error of an event that nobody tried to deliver.
var errNotTried = errors.New("not tried: one before it failed")

func decodeAll[E any](codec *eventstore.Codec, d *Delivery) ([]Decoded[E], error) {
	all := make([]Decoded[E], len(d.Events))
	for i := range d.Events {
		value, err := decode[E](codec, &d.Events[i])
		if err != nil {
			return nil, err
		}
		all[i] = Decoded[E]{d.of(i), value}
	}
	return all, nil
}

// of returns an event as a Handler has it.
func (d *Delivery) of(i int) Event {
	e := d.Events[i]
	e.Subscription = d.Subscription
	return e
}

func decode[E any](codec *eventstore.Codec, e *Event) (value E, err error) {
	decoded, err := codec.Decode(e.RecordedEvent.Event)
	if err != nil {
		return value, &decodeError{err}
	}
	value, ok := decoded.(E)
	if !ok {
		return value, &decodeError{fmt.Errorf("%w: the handler takes no event of type %q: it takes %s", eventstore.ErrUndecodable, e.Type, reflect.TypeFor[E]())}
	}
	return value, nil
}

// decodeError says that an event could not be handed to the function: nobody was asked.
type decodeError struct{ err error }

func (e *decodeError) Error() string { return e.err.Error() }
func (e *decodeError) Unwrap() error { return e.err }
