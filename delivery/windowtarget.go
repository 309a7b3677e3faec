package delivery

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/57528e99/recount/delivery/window"
	"github.com/57528e99/recount/eventstore"
)

// windowTarget counts events in windows, which are rows that are written in the transaction that moves the cursor, and appends what closes in it too.
// It keeps nothing in memory: whoever has the partition next goes on from the rows.
type windowTarget struct {
	WindowTarget
	config window.Config
	// names, paths and numeric are of the values.
	names   []string
	paths   [][]string
	time    []string
	space   uuid.UUID
	name    string
	of      int64 // the subscription
	records *records
	log     eventstore.Appender
	// closed and late count what is committed, more or less: for metrics.
	closed, late atomic.Int64
}

// appenderIn is a log that appends in a transaction of the caller.
type appenderIn interface {
	AppendIn(ctx context.Context, tx pgx.Tx, appends []eventstore.StreamAppend) (done []eventstore.Appended, refused []error, committed func(), err error)
}

// windowIDs is the namespace of the ids of closings.
var windowIDs = uuid.MustParse("5d0f1b8c-6f43-4c55-9a0e-3a1f1d2c7e64")

func newWindowTarget(d Definition, records *records, log eventstore.Appender) *windowTarget {
	w := &windowTarget{WindowTarget: *d.Target.Window, records: records, log: log, name: d.Name}
	w.config, w.names = w.WindowTarget.config()
	for _, name := range w.names {
		var path []string
		if v := w.Values[name]; v.Path != "" {
			path = splitPointer(v.Path)
		}
		w.paths = append(w.paths, path)
	}
	w.time = splitPointer(w.Time)
	// What may change has no part in ids: what was appended before is there under the same.
	same := w.WindowTarget
	same.Delay, same.Idle = 0, 0
	w.space = uuid.NewSHA1(windowIDs, append([]byte(d.Name+"\x00"), mustMarshal(same)...))
	return w
}

// ofSubscription says whose rows it has.
func (w *windowTarget) ofSubscription(id int64) { w.of = id }

func (w *windowTarget) eachByItself() bool { return true }

func (w *windowTarget) idleAfter() time.Duration { return time.Duration(w.Idle) }

func (w *windowTarget) Deliver(context.Context, *Delivery) error { return errNeedsTx }

// DeliverTx implements Transactional.
func (w *windowTarget) DeliverTx(ctx context.Context, tx Tx, d *Delivery) error {
	events, at, err := w.read(d)
	if err != nil || len(events) == 0 {
		return err
	}
	return w.fold(ctx, tx, d.Partition, events, func(m window.Missed) eventstore.StreamAppend { return w.missed(&d.Events[at[m.Event]], m) })
}

// read returns the events as windows see them, and which of the delivery they are: what it appends itself is none.
func (w *windowTarget) read(d *Delivery) (events []window.Event, at []int, _ error) {
	for i := range d.Events {
		e := &d.Events[i]
		if e.Type == w.Type || e.Type == w.Type+"Late" {
			continue
		}
		seen := window.Event{Recorded: e.RecordedAt.UnixMicro(), Position: e.Position, Operands: make([]window.Operand, len(w.paths))}
		seen.At = seen.Recorded
		if w.Key != "" {
			seen.Key = e.Key
		}
		var err error
		if w.Time != "/recorded_at" {
			if seen.At, err = timeOf(valueAt(e.RecordedEvent, w.time)); err != nil {
				return nil, nil, Permanent(fmt.Errorf("%s %w", w.Time, err))
			}
		}
		for n, path := range w.paths {
			if path == nil {
				continue
			}
			value, op := valueAt(e.RecordedEvent, path), w.config.Values[n]
			o := window.Operand{There: value != nil && value.Kind() != 'n'}
			switch {
			case !o.There:
			case !op.IsNumeric():
				if o.Text = string(value); len(value) > maxValue {
					return nil, nil, Permanent(fmt.Errorf("%s has %d bytes, and windows keep at most %d", w.Values[w.names[n]].Path, len(value), maxValue))
				}
			case value.Kind() != '0':
				return nil, nil, Permanent(fmt.Errorf("%s is not a number", w.Values[w.names[n]].Path))
			default:
				if o.Number, err = window.ParseDecimal(string(value)); err != nil {
					return nil, nil, Permanent(fmt.Errorf("%s %w", w.Values[w.names[n]].Path, err))
				}
			}
			seen.Operands[n] = o
		}
		if err := eventstore.ValidateStream(w.streamOf(w.Stream, seen.Key)); err != nil {
			return nil, nil, Permanent(err)
		}
		events, at = append(events, seen), append(at, i)
	}
	return events, at, nil
}

func (w *windowTarget) streamOf(name, key string) string {
	return strings.ReplaceAll(name, "{key}", key)
}

// closingData is the data of the event that says that a window has closed. It has what its events come to, and nothing that depends on when they came:
// counted anew a closing is the same.
type closingData struct {
	Window string      `json:"window"`
	Kind   window.Kind `json:"kind"`
	Key    string      `json:"key,omitempty"`
	Start  time.Time   `json:"start"`
	End    time.Time   `json:"end"`
	// Revision counts the closings of the window, from 0.
	Revision int   `json:"revision"`
	Events   int64 `json:"events"`
	// Position is up to where in the log the events of the window are counted.
	Position int64                      `json:"position"`
	Values   map[string]json.RawMessage `json:"values,omitempty"`
}

func (w *windowTarget) closing(c *window.Closing) eventstore.StreamAppend {
	data := closingData{w.name, w.Kind, c.Key, time.UnixMicro(c.Start).UTC(), time.UnixMicro(c.End).UTC(), c.Revision, c.Events, c.Position, w.named(c.Values)}
	return eventstore.StreamAppend{Stream: w.streamOf(w.Stream, c.Key), Expected: eventstore.Any, Events: []eventstore.Event{{
		ID: w.closingID(c), Type: w.Type, SchemaVersion: 1, Data: mustMarshal(data)}}}
}

func (w *windowTarget) named(values []json.RawMessage) map[string]json.RawMessage {
	named := make(map[string]json.RawMessage, len(values))
	for i, name := range w.names {
		named[name] = values[i]
	}
	return named
}

// closingID is made of the definition, the key, the start and the revision.
func (w *windowTarget) closingID(c *window.Closing) uuid.UUID {
	name := append([]byte(c.Key), 0)
	name = binary.BigEndian.AppendUint64(name, uint64(c.Start))
	return uuid.NewSHA1(w.space, binary.BigEndian.AppendUint64(name, uint64(c.Revision)))
}

// missed returns the event that says that one came too late.
func (w *windowTarget) missed(e *Event, m window.Missed) eventstore.StreamAppend {
	key := ""
	if w.Key != "" {
		key = e.Key
	}
	data := mustMarshal(struct {
		Window string          `json:"window"`
		Key    string          `json:"key,omitempty"`
		Start  time.Time       `json:"start"`
		End    time.Time       `json:"end"`
		Event  json.RawMessage `json:"event"`
	}{w.name, key, time.UnixMicro(m.Start).UTC(), time.UnixMicro(m.End).UTC(), e.AppendJSON(nil)})
	id := uuid.NewSHA1(w.space, binary.BigEndian.AppendUint64(append([]byte(nil), e.MessageID[:]...), uint64(m.Start)))
	return eventstore.StreamAppend{Stream: w.streamOf(w.Side, key), Expected: eventstore.Any, Events: []eventstore.Event{{
		ID: id, Type: w.Type + "Late", SchemaVersion: 1, Data: data}}}
}

// beforeCommitter is a Tx that does something when the cursor has moved, as the last of what its transaction does: it locks what everybody needs. What
// that returns is called once the transaction is committed.
type beforeCommitter interface {
	beforeCommit(func(ctx context.Context, tx pgx.Tx) (committed func(), err error))
}

// tell appends what came out of a fold.
func (w *windowTarget) tell(tx Tx, f *window.Fold, missed []eventstore.StreamAppend) {
	if len(f.Closings)+len(missed)+int(f.Late) == 0 {
		return
	}
	tx.(beforeCommitter).beforeCommit(func(ctx context.Context, tx pgx.Tx) (func(), error) {
		done, err := w.append(ctx, tx, f.Closings, missed)
		return func() {
			w.closed.Add(int64(len(f.Closings)))
			w.late.Add(f.Late)
			done()
		}, err
	})
}

// append appends each by itself: what was appended before is there under its id, whatever came with it then.
func (w *windowTarget) append(ctx context.Context, tx pgx.Tx, closings []window.Closing, missed []eventstore.StreamAppend) (func(), error) {
	var all []func()
	appends := missed
	for i := range closings {
		appends = append(appends, w.closing(&closings[i]))
	}
	// Closings are the last, what is before is no concern of the second round.
	next := make(map[*window.Window]int)
	for first := len(missed); len(appends) > 0; first = 0 {
		refused, committed, err := w.appendEach(ctx, tx, appends)
		if err != nil {
			return nil, err
		}
		all = append(all, committed)
		var again []window.Closing
		for i, err := range refused {
			switch {
			case err == nil:
			case errors.Is(err, eventstore.ErrIDReused) && (i < first || w.Late != window.Update):
				// It was told before, perhaps of fewer events: those were late then.
			case errors.Is(err, eventstore.ErrIDReused):
				// Windows are counted anew, and there was a revision then that has fewer events: this is a later one, perhaps one that there was as well.
				c := closings[i-first]
				c.Revision++
				again = append(again, c)
				next[c.Window] = max(next[c.Window], c.Revision+1)
			case errors.Is(err, eventstore.ErrStreamDeleted):
				zerolog.Ctx(ctx).Warn().Err(err).Str("subscription", w.name).Msg("a window has closed, and nobody is told")
			default:
				return nil, err
			}
		}
		closings, appends = again, nil
		for i := range closings {
			appends = append(appends, w.closing(&closings[i]))
		}
	}
	return func() {
		for _, f := range all {
			f()
		}
	}, w.correct(ctx, tx, next)
}

func (w *windowTarget) appendEach(ctx context.Context, tx pgx.Tx, appends []eventstore.StreamAppend) (refused []error, committed func(), err error) {
	if log, ok := w.log.(appenderIn); ok {
		_, refused, committed, err = log.AppendIn(ctx, tx, appends)
		return refused, committed, err
	}
	// It is there before the cursor moves: done again it is there already.
	for _, a := range appends {
		_, err := w.log.Append(ctx, a, eventstore.AppendOptions{})
		if err != nil && !errors.Is(err, eventstore.ErrIDReused) && !errors.Is(err, eventstore.ErrStreamDeleted) {
			return nil, nil, err
		}
		refused = append(refused, err)
	}
	return refused, func() {}, nil
}
