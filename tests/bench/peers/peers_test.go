package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/tests/bench"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const connections = 4

// What a peer says that it has done must have been done: it is measured by its own word.
func TestPeers(t *testing.T) {
	t.Parallel()
	for _, p := range peers() {
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.NewEmpty(t)
			store, err := p.Open(t.Context(), db.DSN, connections)
			if errors.Is(err, exec.ErrNotFound) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := store.Close(context.WithoutCancel(t.Context())); err != nil {
					t.Error(err)
				}
			}()
			appendsAreWhole(t, store)
			if !p.AppendsOnly {
				readersGetAll(t, store)
			}
		})
	}
}

func appendsAreWhole(t *testing.T, store bench.Store) {
	for stream, events := range map[int64]int{1: 1, 2: 5, 300: 10} {
		if err := store.Append(t.Context(), stream, events); err != nil {
			t.Fatalf("append %d events to stream %d: %v", events, stream, err)
		}
		if n, err := store.Load(t.Context(), stream); err != nil || n != events {
			t.Errorf("stream %d has %d events (%v), want %d", stream, n, err, events)
		}
	}
	// An append that checks nothing would be cheaper than those that it is compared with.
	if err := store.Append(t.Context(), 2, 1); err == nil {
		t.Error("a stream was begun twice")
	}
}

func readersGetAll(t *testing.T, store bench.Store) {
	if n, err := store.ReadAll(t.Context()); err != nil || n != 16 {
		t.Errorf("ReadAll = %d, %v; want 16 events", n, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var mu sync.Mutex
	got := make(map[int64]int)
	total := 0
	err := store.Tail(ctx, func(stream int64) {
		mu.Lock()
		defer mu.Unlock()
		got[stream]++
		if total++; total == 16 {
			cancel()
		}
	})
	if err != nil || got[1] != 1 || got[2] != 5 || got[300] != 10 {
		t.Errorf("a reader got %v (%v), want 1, 5 and 10 events of streams 1, 2 and 300", got, err)
	}
}

// The whole way of `recount bench compare`, but for the process.
func TestServe(t *testing.T) {
	t.Parallel()
	db := pgtest.NewEmpty(t)
	q := bench.Request{
		Options: bench.Options{Database: db.DSN, Command: "recount bench compare"},
		Compare: bench.Compare{Callers: []int{2}, Duration: 20 * time.Millisecond, Batch: 3, Events: 50, Tail: 50 * time.Millisecond},
		Peers:   []string{"goes", "hallgren"},
	}
	r, err := serve(t, q)
	if err != nil {
		t.Fatal(err)
	}
	var appending []string
	tails := 0
	for _, result := range r.Results {
		if strings.HasPrefix(result.Question, "append 1 event") {
			appending = append(appending, result.Name)
		}
		if result.Delivery != nil && result.Delivery.Committed > 0 {
			tails++
		}
	}
	if want := []string{"recount", "counter-row", "unordered", "hallgren", "goes"}; !slices.Equal(appending, want) || tails != len(want) {
		t.Errorf("appends were measured of %v and readers of %d stores, want both of %v", appending, tails, want)
	}
	if len(r.Notes) != 3 {
		t.Errorf("notes are %q, want one of the baselines and one of each peer", r.Notes)
	}
	q.Peers = []string{"nobody"}
	if _, err := serve(t, q); err == nil || !strings.Contains(err.Error(), "message-db, message-db-16, hallgren, aneshas, goes") {
		t.Errorf("an unknown peer: %v", err)
	}
}

func serve(t *testing.T, q bench.Request) (bench.Report, error) {
	t.Helper()
	in, err := json.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := bench.Serve(t.Context(), bytes.NewReader(in), &out, func(string) {}, "v1", peers()); err != nil {
		t.Fatal(err)
	}
	var answer bench.Answer
	if err := json.Unmarshal(out.Bytes(), &answer); err != nil {
		t.Fatal(err)
	}
	return answer.Result()
}

func TestPackageOfMessageDBIsChecked(t *testing.T) {
	t.Parallel()
	files, err := fetchMessageDB(t.Context())
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(files["functions/write-message.sql"], "write_message") {
		t.Error("write-message.sql does not make write_message")
	}
	if _, err := checked("go.mod"); err == nil || !strings.Contains(err.Error(), "SHA-512") {
		t.Errorf("another file passes for the package: %v", err)
	}
}
