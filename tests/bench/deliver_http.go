package bench

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/webhook"
)

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
