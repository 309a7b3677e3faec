package logcheck_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/logcheck"
	"github.com/57528e99/recount/eventstore/memstore"
)

// run lets clients do things at once with a store, and records them.
func run(ctx context.Context, s eventstore.Store, r *logcheck.Recorder, clients, each int) {
	var all sync.WaitGroup
	for c := range clients {
		all.Go(func() {
			name := fmt.Sprint("client ", c)
			for n := range each {
				stream := fmt.Sprint("order-", (c+n)%3)
				version := readStream(ctx, s, r, name, stream)
				appendOne(ctx, s, r, name, eventstore.StreamAppend{Stream: stream, Expected: eventstore.Exact(version),
					Events: []eventstore.Event{{ID: uuid.New(), Type: "Placed"}, {ID: uuid.New(), Type: "Paid", Data: []byte(name)}}})
			}
		})
	}
	all.Wait()
}

func readStream(ctx context.Context, s eventstore.Store, r *logcheck.Recorder, client, stream string) int64 {
	read := logcheck.ReadOf(client, stream)
	var shown []eventstore.RecordedEvent
	for e, err := range s.ReadStream(ctx, stream, eventstore.ReadOptions{}) {
		if err != nil {
			break
		}
		shown = append(shown, e)
	}
	read = read.Saw(shown...)
	r.Read(read)
	return read.Version
}

func appendOne(ctx context.Context, s eventstore.Store, r *logcheck.Recorder, client string, a eventstore.StreamAppend) {
	p := r.Begin(logcheck.AppendOf(client, a, eventstore.AppendOptions{}))
	p.Answer(s.Append(ctx, a, eventstore.AppendOptions{}))
}

func TestWhatAStoreDoesBreaksNoRule(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"memory", "file"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			s, r := memstore.New(memstore.Config{}), new(logcheck.Recorder)
			path := filepath.Join(t.TempDir(), "history")
			if where == "file" {
				var err error
				if r, err = logcheck.Create(path); err != nil {
					t.Fatal(err)
				}
			}
			run(t.Context(), s, r, 8, 50)
			ctx, cancel := context.WithCancel(t.Context())
			from := int64(1)
			for b, err := range s.Subscribe(ctx, eventstore.ReadOptions{PageSize: 7}) {
				if errors.Is(err, context.Canceled) {
					break
				}
				r.Batch(logcheck.BatchOf("reader", 1, from, b))
				if from = b.Next; b.Next > b.Head.Position {
					cancel()
				}
			}
			cancel()
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			h := r.History()
			if where == "file" {
				var err error
				if h, err = logcheck.Load(path); err != nil {
					t.Fatal(err)
				}
			}
			l, err := logcheck.ReadLog(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			if len(h.Appends) != 400 || len(h.Reads) != 400 || len(h.Batches) == 0 {
				t.Errorf("%d appends, %d reads and %d batches were recorded", len(h.Appends), len(h.Reads), len(h.Batches))
			}
			logcheck.Test(t, logcheck.Check(&h, l, logcheck.Options{Deliveries: logcheck.DeliveryOptions{Head: l.Head()}}))
		})
	}
}
