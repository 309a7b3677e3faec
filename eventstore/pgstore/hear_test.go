package pgstore_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore/pgstore"
)

// looks counts how often the end of the log is read.
type looks struct{ atomic.Int64 }

func (l *looks) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	if strings.Contains(q.SQL, "max(e.position)") {
		l.Add(1)
	}
	return ctx
}

func (l *looks) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// A store under load notifies five hundred times a second: neither it nor the
// others must ask the database each time for what the notification says.
func TestNotificationsCostNoLook(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	var l looks
	pool := changedPool(t, db, func(c *pgx.ConnConfig) { c.Tracer = &l })
	unpolled := func(c *pgstore.Config) { c.PollInterval = time.Hour }
	a := open(t, db, unpolled, func(c *pgstore.Config) { c.Pool = pool })
	b := open(t, db, unpolled)

	heard := 0
	eventually(t, "it hears the other", func() bool {
		heard++
		mustAppend(t, b, happened("b-1", heard))
		return a.Stats().Head > 0
	})
	for n := range 20 {
		end := mustAppend(t, a, happened("a-1", n)).Position
		eventually(t, "the other hears it", func() bool { return b.Stats().Head >= end })
	}
	// It looked once as it began.
	if got := l.Load(); got > 1 {
		t.Errorf("it looked for the end of the log %d times, the other has appended %d times", got, heard)
	}
}
