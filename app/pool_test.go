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

// TestTheAddressSaysHowManyConnections, unless the options do.
func TestTheAddressSaysHowManyConnections(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		dsn         string
		asked, want int32
	}{
		{"postgres://localhost/x", 0, 20},
		{"postgres://localhost/x?pool_max_conns=7", 0, 7},
		{"host=localhost pool_max_conns=7", 9, 9},
	} {
		pool, err := openPool(t.Context(), c.dsn, c.asked, "test")
		if err != nil {
			t.Fatal(err)
		}
		if got := pool.Config().MaxConns; got != c.want {
			t.Errorf("%d connections with %s, asked for %d; want %d", got, c.dsn, c.asked, c.want)
		}
		pool.Close()
	}
}
