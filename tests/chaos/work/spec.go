package work

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	"github.com/57528e99/recount/eventstore/pgstore"
)

// Spec says what a worker does. It is handed over as JSON.
type Spec struct {
	// Name is unique in the run, Kind one of the kinds.
	Name string `json:"name"`
	Kind Kind   `json:"kind"`
	Seed uint64 `json:"seed"`
	// Dir is where histories are.
	Dir string `json:"dir"`
	// DSN is the database, by way of a proxy. Not of clients.
	DSN string `json:"dsn,omitempty"`
	// MaxConns bounds the pool. Default: 4.
	MaxConns int32 `json:"max_conns,omitempty"`
	// Rate is how many events a writer appends a second, about; Events after how
	// many this process appends no more. 0: no bound.
	Rate   float64 `json:"rate,omitempty"`
	Events int64   `json:"events,omitempty"`
	// SkipReads keeps a writer from reading streams.
	SkipReads bool `json:"skip_reads,omitempty"`
	// From is the position that a reader begins with. Default: 1.
	From int64 `json:"from,omitempty"`
	// Servers are the addresses that a client asks.
	Servers []string `json:"servers,omitempty"`
	// Categories filter what a reader gets. Default: everything.
	Categories []string `json:"categories,omitempty"`
}

// Kind is what a worker is.
type Kind string

// The kinds of workers.
const (
	Writer    Kind = "writer"
	Reader    Kind = "reader"
	Projector Kind = "projector"
	Client    Kind = "client"
	Deliverer Kind = "deliverer"
)

// HistoryFile is where the worker of a name records what it did.
func HistoryFile(dir, name string) string { return filepath.Join(dir, name+".history") }

// OwnFile is where a writer records which of its appends came with a row of its
// own.
func OwnFile(dir, name string) string { return filepath.Join(dir, name+".own") }

// Run works until ctx ends. It is given the arguments of the process: a Spec.
// Errors are of a worker that cannot work at all, or that left something behind.
func Run(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("a worker needs its specification")
	}
	var s Spec
	if err := json.Unmarshal([]byte(args[0]), &s); err != nil {
		return fmt.Errorf("read the worker's specification: %w", err)
	}
	work, ok := map[Kind]func(context.Context, Spec) error{
		Writer: runWriter, Reader: runReader, Projector: runProjector, Client: runClient,
		Deliverer: runDeliverer,
	}[s.Kind]
	if !ok {
		return fmt.Errorf("there is no worker of kind %q", s.Kind)
	}
	others := goleak.IgnoreCurrent()
	if err := work(ctx, s); err != nil {
		return err
	}
	if err := goleak.Find(others); err != nil {
		return fmt.Errorf("%w: %w", ErrLeak, err)
	}
	return nil
}

// ErrLeak is returned by workers that left goroutines behind.
var ErrLeak = errors.New("left behind")

// say writes a line to the worker's log.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, time.Now().Format("15:04:05.000 ")+format+"\n", args...)
}

// pause waits, or returns false because ctx has ended.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// open connects to the log. It goes on trying until ctx ends.
func open(ctx context.Context, s Spec) (pool *pgxpool.Pool, store *pgstore.Store, err error) {
	config, err := pgxpool.ParseConfig(s.DSN)
	if err != nil {
		return nil, nil, err
	}
	config.MaxConns = max(s.MaxConns, 1)
	if s.MaxConns == 0 {
		config.MaxConns = 4
	}
	config.ConnConfig.RuntimeParams["application_name"] = s.Name
	if pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, nil, err
	}
	for {
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		store, err = pgstore.Open(attempt, pgstore.Config{Pool: pool, RetryTimeout: 2 * time.Second})
		cancel()
		if err == nil {
			return pool, store, nil
		}
		say("open: %v", err)
		if !pause(ctx, 100*time.Millisecond) {
			pool.Close()
			return nil, nil, ctx.Err()
		}
	}
}

// closeLog drains the store and closes the connections.
func closeLog(pool *pgxpool.Pool, store *pgstore.Store) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	err := store.Close(ctx)
	pool.Close()
	return err
}
