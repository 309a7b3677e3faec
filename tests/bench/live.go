package bench

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/projections"
)

// reader follows a log.
type reader interface {
	// reach waits until it has come to a place in the log.
	reach(ctx context.Context, want eventstore.Token) error
	stop(ctx context.Context) error
}

// witness is a reader that notes by itself when it got each event.
type witness interface {
	reader
	// appended says that the append of an event has just returned.
	appended(at eventstore.Token)
	// latency is how long after that the events were there. It is asked when all of them are.
	latency() histogram
}

// live appends at a steady rate while somebody follows.
type live struct {
	name     string
	rate     int
	newCodec func() (*eventstore.Codec, error)
	// value is event number n, with the name of its stream.
	value func(n int) (stream string, event any)
	// follow starts the one who follows.
	follow func(ctx context.Context, s *scratch, codec *eventstore.Codec) (reader, error)
}

const (
	// appenders is how many appends are on their way at once, at most.
	appenders = 64
	// pacing is how often appends become due. They do not wait for each other: who is late does not
	// make the others late, and what is due counts from when it was.
	pacing = 2 * time.Millisecond
	// sampled is how many events a second are followed until they are visible.
	sampled = 500
)

// due is an append that is to be made, and since when.
type due struct {
	n  int
	at time.Time
}

// projecting starts projections to follow.
func projecting(list []projections.Projection) func(context.Context, *scratch, *eventstore.Codec) (reader, error) {
	return func(ctx context.Context, s *scratch, codec *eventstore.Codec) (reader, error) {
		return s.startRunner(ctx, codec, list...)
	}
}

func readingElsewhere(ctx context.Context, s *scratch, _ *eventstore.Codec) (reader, error) {
	return s.readElsewhere(ctx)
}

func (l live) measure(ctx context.Context, s *scratch, duration time.Duration) (Result, error) {
	var all tally
	err := l.round(ctx, s, duration, &all)
	return all.result(l.name, appenders), err
}

// round counts an event as visible when all who follow have it. The time ends when they have all
// events, so the rate is one that they have kept up with.
func (l live) round(ctx context.Context, s *scratch, duration time.Duration, all *tally) (err error) {
	codec, err := l.newCodec()
	if err != nil {
		return err
	}
	follow, err := l.follow(ctx, s, codec)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, follow.stop(ctx)) }()
	noting, notes := follow.(witness)

	group, appending := errgroup.WithContext(ctx)
	dues := make(chan due, l.rate)
	group.Go(func() error {
		defer close(dues)
		return l.schedule(appending, duration, dues)
	})
	var mu sync.Mutex
	var events int64
	var last eventstore.Token
	begun, busy := time.Now(), processorTime()
	for range appenders {
		group.Go(func() error {
			for d := range dues {
				at, err := l.append(appending, s.store, codec, d.n)
				if err != nil {
					return err
				}
				if notes {
					noting.appended(at)
				}
				mu.Lock()
				events++
				if at.Position > last.Position {
					last = at
				}
				mu.Unlock()
				if !notes && d.n%max(l.rate/sampled, 1) == 0 {
					group.Go(func() error {
						err := follow.reach(appending, at)
						mu.Lock()
						defer mu.Unlock()
						all.latency.add(time.Since(d.at))
						return err
					})
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if err := follow.reach(ctx, last); err != nil {
		return err
	}
	all.add(events, time.Since(begun), processorTime()-busy)
	if notes {
		latency := noting.latency()
		all.latency.merge(&latency)
	}
	return nil
}

// schedule says what is due until duration is over.
func (l live) schedule(ctx context.Context, duration time.Duration, dues chan<- due) error {
	ticker := time.NewTicker(pacing)
	defer ticker.Stop()
	begun := time.Now()
	for n := 0; ; {
		now := time.Now()
		elapsed := min(now.Sub(begun), duration)
		for target := int(float64(l.rate) * elapsed.Seconds()); n < target; n++ {
			select {
			case dues <- due{n, now}:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if elapsed == duration {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (l live) append(ctx context.Context, store eventstore.Appender, codec *eventstore.Codec, n int) (eventstore.Token, error) {
	stream, value := l.value(n)
	event, err := codec.Encode(value)
	if err != nil {
		return eventstore.Token{}, err
	}
	appended, err := store.Append(ctx, eventstore.StreamAppend{Stream: stream, Expected: eventstore.Any, Events: []eventstore.Event{event}}, eventstore.AppendOptions{})
	return appended.Token, err
}
