package app

import (
	"context"
	"errors"
	"testing"

	"github.com/57528e99/recount/eventstore/logcheck/logtest"
	"github.com/57528e99/recount/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestAConnectionThatDoesNotEndKeepsNoServer(t *testing.T) {
	t.Parallel()
	pool, err := openPool(t.Context(), logtest.New(t).DSN, 1, "test")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := closePool(ctx, pool); !errors.Is(err, context.Canceled) {
		t.Errorf("closePool = %v, want that the time is up", err)
	}
	conn.Release()
	if err := closePool(t.Context(), pool); err != nil {
		t.Errorf("closePool = %v once it has ended", err)
	}
}
