package delivery

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
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
	// halves: what has too much at once is made again in halves.
	halves bool
}

// appenderIn is a log that appends in a transaction of the caller.
type appenderIn interface {
	AppendIn(ctx context.Context, tx pgx.Tx, appends []eventstore.StreamAppend) (done []eventstore.Appended, refused []error, committed func(), err error)
}

// windowIDs is the namespace of the ids of closings.
var windowIDs = uuid.MustParse("5d0f1b8c-6f43-4c55-9a0e-3a1f1d2c7e64")

func newWindowTarget(d Definition, records *records, log eventstore.Appender) *windowTarget {
	w := &windowTarget{WindowTarget: *d.Target.Window, records: records, log: log, name: d.Name, halves: d.Bisect == nil || *d.Bisect}
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
	return w.fold(ctx, tx, d.Partition, events, func(m window.Missed) (eventstore.StreamAppend, error) {
		late := w.missed(&d.Events[at[m.Event]], m)
		// In time: when the cursor has moved nobody can say any more that the event failed.
		if err := (eventstore.Limits{}).Validate([]eventstore.StreamAppend{late}, eventstore.AppendOptions{}); err != nil {
			return late, Permanent(fmt.Errorf("it is late, and what says so cannot be appended: %w", err))
		}
		return late, nil
	})
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
	if len(f.Closings)+len(missed) == 0 {
		return
	}
	tx.(beforeCommitter).beforeCommit(func(ctx context.Context, tx pgx.Tx) (func(), error) {
		return w.append(ctx, tx, f.Closings, missed)
	})
}

// append appends each by itself: what was appended before is there under its id, whatever came with it then.
func (w *windowTarget) append(ctx context.Context, tx pgx.Tx, closings []window.Closing, missed []eventstore.StreamAppend) (func(), error) {
	if w.Late != window.Update || tx == nil {
		// What has an id that was used was told before, perhaps of fewer events: those were late then.
		_, committed, err := w.appendEach(ctx, tx, append(missed, w.appendsOf(closings)...))
		return committed, err
	}
	// Windows are counted anew where an id was used: there was a revision then that has fewer events, and this is a later one, perhaps one that there
	// was as well. Those behind it are later still, so nothing stays of a round in which they were told before it.
	if _, err := tx.Exec(ctx, "SAVEPOINT closings"); err != nil {
		return nil, err
	}
	next := make(map[*window.Window]int)
	var settled []window.Closing
	for {
		used, committed, err := w.appendEach(ctx, tx, w.appendsOf(closings))
		if err != nil {
			return nil, err
		}
		others, again := nextRevisions(closings, used, next)
		if len(again) == 0 {
			_, rest, err := w.appendEach(ctx, tx, w.appendsOf(settled))
			if err != nil {
				return nil, err
			}
			return func() { committed(); rest() }, w.correct(ctx, tx, next)
		}
		if _, err := tx.Exec(ctx, "ROLLBACK TO SAVEPOINT closings"); err != nil {
			return nil, err
		}
		settled, closings = append(settled, others...), again
	}
}

// nextRevisions tells closings of windows of which none has an id that was used from the others, and gives those their next revisions: that which was used one
// more, and those behind it what is more than before them. What of a window is after all of them is in next.
func nextRevisions(closings []window.Closing, used []bool, next map[*window.Window]int) (settled, again []window.Closing) {
	met, moved := make(map[*window.Window]bool), make(map[*window.Window]int)
	for i := range closings {
		met[closings[i].Window] = met[closings[i].Window] || used[i]
	}
	for i, c := range closings {
		if !met[c.Window] {
			settled = append(settled, c)
			continue
		}
		least, ok := moved[c.Window]
		if !ok && used[i] {
			least = c.Revision + 1
		}
		c.Revision = max(c.Revision, least)
		if ok || used[i] {
			moved[c.Window] = c.Revision + 1
			next[c.Window] = c.Revision + 1
		}
		again = append(again, c)
	}
	return settled, again
}

func (w *windowTarget) appendsOf(closings []window.Closing) []eventstore.StreamAppend {
	appends := make([]eventstore.StreamAppend, len(closings))
	for i := range closings {
		appends[i] = w.closing(&closings[i])
	}
	return appends
}

// appendEach returns which have an id that was used for something else.
func (w *windowTarget) appendEach(ctx context.Context, tx pgx.Tx, appends []eventstore.StreamAppend) (used []bool, committed func(), err error) {
	committed = func() {}
	var refused []error
	if log, ok := w.log.(appenderIn); ok {
		if _, refused, committed, err = log.AppendIn(ctx, tx, appends); err != nil {
			return nil, nil, err
		}
	} else {
		// It is there before the cursor moves: done again it is there already.
		for _, a := range appends {
			_, err := w.log.Append(ctx, a, eventstore.AppendOptions{})
			refused = append(refused, err)
		}
	}
	used = make([]bool, len(appends))
	for i, err := range refused {
		switch {
		case err == nil:
		case errors.Is(err, eventstore.ErrIDReused):
			used[i] = true
		case errors.Is(err, eventstore.ErrStreamDeleted), errors.Is(err, eventstore.ErrInvalid):
			// It would be so for ever, and windows would stand still.
			zerolog.Ctx(ctx).Warn().Err(err).Str("subscription", w.name).Str("stream", appends[i].Stream).Msg("a window has something to tell, and nobody is told")
		default:
			return nil, nil, err
		}
	}
	return used, committed, nil
}
