package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/webhook"
	"github.com/57528e99/recount/eventstore"
)

// The contenders that go from one end of a log to the other.
const (
	nameAll           = "all"
	nameOneType       = "one type of ten"
	nameTransactional = "transactional"
	nameReadOnly      = "read only"
	namePark          = "park"
	nameDrain         = "drain"
	nameTarget        = "target"
	nameWebhook       = "webhook"
	namePost          = "post"
)

const (
	// minDelivered is as few events as show anything of an outage.
	minDelivered = 10 * postStreams
	// inTransaction is how many events share a transaction.
	inTransaction = 1000
	// fineShare: one in so many streams never fails.
	fineShare = 4
	// httpInFlight is how many requests are made at once.
	httpInFlight = 64
)

// worker delivers a log from its beginning, each time for a subscription of its own and by a runner that is started
// and stopped.
type worker struct {
	s     *scratch
	codec *eventstore.Codec
	runs  int
}

// with fills a log and runs use.
func (d Deliver) with(ctx context.Context, env *Env, events int, use func(*worker) error) error {
	return env.with(ctx, appenders, func(s *scratch) error {
		codec, err := newPostCodec()
		if err != nil {
			return err
		}
		env.say("appending %d events", events)
		err = s.fillAppends(ctx, codec, events, func(n int) []streamEvent {
			stream, value := post(n, d.topics())
			return []streamEvent{{stream, value}}
		})
		if err != nil {
			return err
		}
		if _, err := s.pool.Exec(ctx, `VACUUM ANALYZE events`); err != nil {
			return err
		}
		return use(&worker{s: s, codec: codec})
	})
}

// start begins to deliver. The name that change finds in the definition is of this run alone, and so is handler's.
func (w *worker) start(ctx context.Context, handler func(name string) *delivery.Handler, change func(*delivery.Definition), targets map[string]delivery.TargetFactory) (*delivery.Runner, error) {
	w.runs++
	s := delivery.Subscription{Definition: delivery.Definition{Name: fmt.Sprintf("run-%d", w.runs), Start: delivery.Start{At: delivery.AtBeginning}}}
	if handler != nil {
		s.Handler = handler(s.Name)
	}
	if change != nil {
		change(&s.Definition)
	}
	r, err := delivery.NewRunner(delivery.Config{
		Pool: w.s.pool, Schema: w.s.schema, App: "bench", Store: w.s.store, Codec: w.codec,
		Subscriptions: []delivery.Subscription{s}, Targets: targets,
	})
	if err != nil {
		return nil, err
	}
	return r, r.Start(context.WithoutCancel(ctx))
}

func stopRunner(ctx context.Context, r *delivery.Runner) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startPatience)
	defer cancel()
	return r.Stop(ctx)
}

// until delivers until done is closed.
func (w *worker) until(ctx context.Context, done <-chan struct{}, handler func(string) *delivery.Handler, change func(*delivery.Definition), targets map[string]delivery.TargetFactory) (err error) {
	r, err := w.start(ctx, handler, change, targets)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stopRunner(ctx, r)) }()
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("not all events are delivered"))
	defer cancel()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// countdown closes a channel when so many events have come.
type countdown struct {
	left atomic.Int64
	done chan struct{}
}

func newCountdown(events int) *countdown {
	c := &countdown{done: make(chan struct{})}
	c.left.Store(int64(events))
	return c
}

func (c *countdown) count(events int) {
	if c.left.Add(-int64(events)) == 0 {
		close(c.done)
	}
}

// A row for each partition is the effect of transactional handlers.
const (
	createEffects = `CREATE TABLE bench_effects (subscription text, partition int, events bigint NOT NULL, PRIMARY KEY (subscription, partition))`
	countEffects  = `
INSERT INTO bench_effects VALUES ($1, $2, $3)
ON CONFLICT (subscription, partition) DO UPDATE SET events = bench_effects.events + excluded.events`
)

// catchUp lets subscriptions work off a log, and who reads it and does nothing else. Events are those of the log, whether or
// not they match.
func (d Deliver) catchUp(ctx context.Context, env *Env) (results []Result, compared map[string]float64, err error) {
	err = d.with(ctx, env, d.Events, func(w *worker) error {
		if _, err := w.s.pool.Exec(ctx, createEffects); err != nil {
			return err
		}
		partitions := func(definition *delivery.Definition) { definition.Partitions = d.Partitions }
		raw := func(c *countdown) func(string) *delivery.Handler {
			return func(name string) *delivery.Handler {
				return delivery.HandleRaw(name, func(_ context.Context, d *delivery.Delivery) error { c.count(len(d.Events)); return nil }, delivery.Quick())
			}
		}
		run := func(events int, handler func(*countdown) func(string) *delivery.Handler, change func(*delivery.Definition)) func(context.Context, int) (int, error) {
			return func(ctx context.Context, _ int) (int, error) {
				c := newCountdown(events)
				return d.Events, w.until(ctx, c.done, handler(c), change, nil)
			}
		}
		contenders := []contender{
			{nameAll, run(d.Events, raw, partitions)},
			{nameOneType, run(pinnedOf(d.Events), raw, func(definition *delivery.Definition) {
				partitions(definition)
				definition.Filter = json.RawMessage(`{"type":["` + typePinned + `"]}`)
			})},
			{nameTransactional, run(d.Events, func(c *countdown) func(string) *delivery.Handler {
				return func(name string) *delivery.Handler {
					return delivery.HandleTxRaw(name, func(ctx context.Context, tx delivery.Tx, d *delivery.Delivery) error {
						_, err := tx.Exec(ctx, countEffects, d.Subscription, d.Partition, len(d.Events))
						if err == nil {
							c.count(len(d.Events)) // no transaction fails here
						}
						return err
					})
				}
			}, func(definition *delivery.Definition) {
				partitions(definition)
				definition.Batch.MaxEvents = inTransaction
			})},
			{nameReadOnly, func(ctx context.Context, _ int) (n int, _ error) {
				for _, err := range w.s.store.ReadAll(ctx, eventstore.ReadOptions{}) {
					if err != nil {
						return n, err
					}
					n++
				}
				return n, nil
			}},
		}
		results, err = compete(ctx, env, pace{1, d.Duration, deliverRounds}, contenders...)
		return err
	})
	return results, ratios(results, "", nameAll, rate), err
}

// pinnedOf returns how many of the first n posts are pinned.
func pinnedOf(n int) (pinned int) {
	for i := range n {
		if i/postStreams%pinnedShare == 0 {
			pinned++
		}
	}
	return pinned
}

// errDown is what those get whom the outage of one is about.
var errDown = errors.New("down")

// outage lets most streams fail until all their events are rows, and then succeed until all are delivered. To the
// others somebody appends: where nothing gets through it is the target that is down, and nothing becomes a row.
func (d Deliver) outage(ctx context.Context, env *Env) (results []Result, _ map[string]float64, err error) {
	err = d.with(ctx, env, d.Events/2, func(w *worker) error {
		var parked, drained tally
		for round := range deliverRounds {
			env.say("outage, round %d of %d", round+1, deliverRounds)
			if err := d.breakDown(ctx, w, &parked, &drained); err != nil {
				return err
			}
		}
		results = []Result{parked.result(namePark, 1), drained.result(nameDrain, 1)}
		return nil
	})
	return results, nil, err
}

func (d Deliver) breakDown(ctx context.Context, w *worker, parked, drained *tally) (err error) {
	fine, rows := make(map[string]bool), int64(0)
	for n := range d.Events / 2 {
		if n%postStreams%fineShare != 0 {
			rows++
		} else if n < postStreams {
			stream, _ := post(n, 1)
			fine[stream] = true
		}
	}
	var parking, mended atomic.Bool
	parking.Store(true)
	var mend sync.Once
	begun, busy := time.Now(), processorTime()
	c := newCountdown(int(rows))
	r, err := w.start(ctx, func(name string) *delivery.Handler {
		return delivery.HandleRaw(name, func(_ context.Context, d *delivery.Delivery) error {
			switch e := &d.Events[0]; {
			case fine[e.Stream]:
				return nil
			case !mended.Load():
				return errDown
			}
			mend.Do(func() { begun, busy = time.Now(), processorTime() })
			c.count(len(d.Events))
			return nil
		}, delivery.Quick())
	}, func(definition *delivery.Definition) {
		definition.Partitions, definition.MaxParked = d.Partitions, max(int(rows), 1)
		definition.Breaker.Keys = 2 * postStreams
		definition.Retry = delivery.Retry{MaxAttempts: 1000, First: retryEvery, Factor: 1, Cap: retryEvery}
	}, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stopRunner(ctx, r)) }()
	head, err := w.s.store.Head(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("the outage does not end"))
	defer cancel()
	group, appending := errgroup.WithContext(ctx)
	group.Go(func() error {
		err := await(appending, func() bool {
			stats := r.Stats()
			all := stats.Subscriptions
			return len(all) == 1 && int64(all[0].Parked) == rows && all[0].Lag >= 0 && stats.Position-all[0].Lag >= head.Position
		})
		parking.Store(false)
		return err
	})
	group.Go(func() error { return w.keepAppending(appending, slices.Collect(maps.Keys(fine)), &parking) })
	if err := group.Wait(); err != nil {
		return err
	}
	took := time.Since(begun)
	parked.add(rows, took, processorTime()-busy)
	parked.latency.add(took)
	mended.Store(true)
	select {
	case <-c.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	took = time.Since(begun)
	drained.add(rows, took, processorTime()-busy)
	drained.latency.add(took)
	return nil
}

// keepAppending appends to streams in turns as long as it is told to.
func (w *worker) keepAppending(ctx context.Context, streams []string, wanted *atomic.Bool) error {
	event, err := w.codec.Encode(posted{Text: noteText})
	if err != nil {
		return err
	}
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for n := 0; wanted.Load(); n++ {
		_, err := w.s.store.Append(ctx, eventstore.StreamAppend{Stream: streams[n%len(streams)], Expected: eventstore.Any, Events: []eventstore.Event{event}}, eventstore.AppendOptions{})
		if err != nil {
			return err
		}
		<-ticker.C
	}
	return nil
}

// retryEvery is how often the first events of streams that fail are tried again, at least.
const retryEvery = delivery.Duration(500 * time.Millisecond)

// http delivers to a receiver in this process, with all attempts written down, signed and not, and posts to it without an engine.
func (d Deliver) http(ctx context.Context, env *Env) (results []Result, compared map[string]float64, err error) {
	events := d.Events / 10
	err = d.with(ctx, env, events, func(w *worker) error {
		var came atomic.Pointer[countdown]
		url, stop, err := receive(func() { came.Load().count(1) })
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, stop(ctx)) }()
		loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		key, err := webhook.NewMasterKey("a key of 32 bytes, that is enough")
		if err != nil {
			return err
		}
		request := func(definition delivery.Definition) (delivery.Target, error) {
			return webhook.NewSigned(definition, loopback, key)
		}
		targets := map[string]delivery.TargetFactory{delivery.KindHTTP: request, delivery.KindWebhook: request}
		deliverTo := func(target func(name string) delivery.TargetConfig) func(context.Context, int) (int, error) {
			return func(ctx context.Context, _ int) (int, error) {
				c := newCountdown(events)
				came.Store(c)
				return events, w.until(ctx, c.done, nil, func(definition *delivery.Definition) {
					definition.Partitions, definition.MaxInFlight, definition.LogAttempts = 4, httpInFlight/4, delivery.LogAll
					definition.Target = target(definition.Name)
				}, targets)
			}
		}
		transport := &http.Transport{MaxIdleConnsPerHost: httpInFlight, DisableCompression: true}
		defer transport.CloseIdleConnections()
		results, err = compete(ctx, env, pace{1, d.Duration, deliverRounds},
			contender{nameTarget, deliverTo(func(string) delivery.TargetConfig {
				return delivery.TargetConfig{HTTP: &delivery.HTTPTarget{URL: url}}
			})},
			contender{nameWebhook, deliverTo(func(name string) delivery.TargetConfig {
				return delivery.TargetConfig{Webhook: &delivery.WebhookTarget{
					HTTPTarget: delivery.HTTPTarget{URL: url}, Keys: []delivery.SigningKey{{ID: key.NewKeyID(name)}}}}
			})},
			contender{namePost, func(ctx context.Context, _ int) (int, error) {
				came.Store(newCountdown(events))
				return events, postAll(ctx, &http.Client{Transport: transport}, url, events)
			}})
		return err
	})
	return results, ratios(results, "", nameTarget, rate), err
}

// receive serves requests, of which each is taken and told of.
func receive(took func()) (url string, stop func(context.Context) error, err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			took()
		}
	})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	return "http://" + ln.Addr().String(), func(ctx context.Context) error {
		err := server.Shutdown(context.WithoutCancel(ctx))
		if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
			err = errors.Join(err, ended)
		}
		return err
	}, nil
}

// postAll posts as many payloads as there are events.
func postAll(ctx context.Context, client *http.Client, url string, events int) error {
	group, ctx := errgroup.WithContext(ctx)
	var begun atomic.Int64
	for range httpInFlight {
		group.Go(func() error {
			for begun.Add(1) <= int64(events) {
				r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(payload))
				if err != nil {
					return err
				}
				answer, err := client.Do(r)
				if err != nil {
					return err
				}
				if err := answer.Body.Close(); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}
