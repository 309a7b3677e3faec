package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/57528e99/recount/eventstore"
)

// Store is an event store as Compare sees it, and so as little as all have in common. Streams have
// numbers; whoever implements it names them as the store is used to. The data of every event is a
// [Happened]: it goes in as a Go value, and every event that is read is decoded into one.
//
// All methods but Close may be called at once.
type Store interface {
	// Append appends so many events to a stream that does not exist yet, in one transaction, and
	// returns when they are committed.
	Append(ctx context.Context, stream int64, events int) error
	// Load reads the events of a stream in order and returns how many there were.
	Load(ctx context.Context, stream int64) (int, error)
	// ReadAll reads all events, in the order that the store has for them, and returns how many there
	// were.
	ReadAll(ctx context.Context) (int, error)
	// Tail follows the store from its first event and calls deliver with the stream of each event, one
	// call at a time. It does so the way that the store gives its users for read models, and returns
	// when ctx is done, which is no error.
	Tail(ctx context.Context, deliver func(stream int64)) error
	// Close gives all connections back.
	Close(ctx context.Context) error
}

// Peer is an event store to compare with.
type Peer struct {
	// Name is the one in reports.
	Name string
	// About says in Markdown what it is, which version, and what it promises about order.
	About string
	// AppendsOnly leaves it out of all but the appends.
	AppendsOnly bool
	// Open makes the store's tables in an empty database of its own, and uses at most so many
	// connections.
	Open func(ctx context.Context, dsn string, connections int) (Store, error)
}

// Happened is the data of events.
type Happened struct {
	Text string `json:"text"`
}

// NewHappened returns the data of an event: some 200 bytes as JSON.
func NewHappened() Happened { return happened }

var happened = func() (h Happened) {
	if err := json.Unmarshal(payload, &h); err != nil {
		panic(err) // payload is ours, and of this shape
	}
	return h
}()

// PollInterval is how long a reader of new events waits when there were none.
const PollInterval = 5 * time.Millisecond

// Poll calls read until ctx is done or it fails, and waits a little whenever it found nothing.
func Poll(ctx context.Context, read func() (events int, err error)) error {
	ticker := time.NewTicker(PollInterval)
	defer ticker.Stop()
	for {
		n, err := read()
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case n > 0:
			continue
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// StreamName and StreamNumber name streams for stores that part a category from the rest with a
// dash.
func StreamName(category string, stream int64) string { return fmt.Sprintf("%s-%d", category, stream) }

// StreamNumber returns the number in a name by StreamName.
func StreamNumber(name string) (int64, error) {
	_, number, _ := strings.Cut(name, "-")
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read the number of stream %q: %w", name, err)
	}
	return n, nil
}

// logStore is Recount.
type logStore struct {
	scratch *scratch
	codec   *eventstore.Codec
}

func newLogStore(s *scratch) (logStore, error) {
	codec, err := eventstore.NewCodec(eventstore.TypeOf[Happened](eventType, 1))
	return logStore{s, codec}, err
}

// Append implements Store.
func (l logStore) Append(ctx context.Context, stream int64, n int) error {
	events := make([]eventstore.Event, n)
	for i := range events {
		var err error
		if events[i], err = l.codec.Encode(happened); err != nil {
			return err
		}
	}
	_, err := l.scratch.store.Append(ctx, eventstore.StreamAppend{
		Stream: streamName(stream), Expected: eventstore.NoStream, Events: events,
	}, eventstore.AppendOptions{})
	return err
}

// Load implements Store.
func (l logStore) Load(ctx context.Context, stream int64) (n int, _ error) {
	for e, err := range l.scratch.store.ReadStream(ctx, streamName(stream), eventstore.ReadOptions{}) {
		if err != nil {
			return n, err
		}
		if _, err := l.codec.Decode(e.Event); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// ReadAll implements Store.
func (l logStore) ReadAll(ctx context.Context) (n int, _ error) {
	for e, err := range l.scratch.store.ReadAll(ctx, eventstore.ReadOptions{}) {
		if err != nil {
			return n, err
		}
		if _, err := l.codec.Decode(e.Event); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// Tail implements Store.
func (l logStore) Tail(ctx context.Context, deliver func(int64)) error {
	for batch, err := range l.scratch.store.Subscribe(ctx, eventstore.ReadOptions{}) {
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		for _, e := range batch.Events {
			stream, err := StreamNumber(e.Stream)
			if err != nil {
				return err
			}
			deliver(stream)
		}
	}
	return nil
}

// Close implements Store: the log ends with its scratch.
func (l logStore) Close(context.Context) error { return nil }
