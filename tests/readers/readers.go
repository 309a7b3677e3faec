package readers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"
)

// Config says what to read.
type Config struct {
	// Server is the address of a running server, without a slash at the end. Empty: none is asked.
	Server string
	// Database is the address of its database. Empty: it is not asked.
	Database string
	// Schema has the read models.
	Schema string
	// Views are the names of read models; they are read by their stable names.
	Views []string
}

// Report says how many reads of each kind went well.
type Report map[string]int

// reader is a kind of read.
type reader struct {
	name string
	// read returns figures that never become smaller from one read to the next. Nil: there was nothing
	// to read yet.
	read func(context.Context) (map[string]int64, error)
}

const (
	pause = 10 * time.Millisecond
	// timeout is beyond what a server allows itself.
	timeout = time.Minute
)

// ErrWentBack is returned when a read sees less than one before it.
var ErrWentBack = errors.New("a read went back in time")

// Watch reads until ctx ends, and finishes the reads that are being made then. The first read that
// fails or goes back ends it with an error.
func Watch(ctx context.Context, c Config) (Report, error) {
	var list []reader
	if c.Server != "" {
		list = append(list, overHTTP(c.Server)...)
	}
	if c.Database != "" {
		pool, err := pgxpool.New(ctx, c.Database)
		if err != nil {
			return nil, fmt.Errorf("connect to the database: %w", err)
		}
		defer pool.Close()
		for _, view := range c.Views {
			list = append(list, overSQL(pool, c.Schema, view))
		}
	}
	counts := make([]int, len(list))
	group, ctx := errgroup.WithContext(ctx)
	for i, r := range list {
		group.Go(func() (err error) {
			counts[i], err = r.again(ctx)
			return err
		})
	}
	err := group.Wait()
	report := make(Report)
	for i, r := range list {
		report[r.name] = counts[i]
	}
	return report, err
}

// again reads until ctx ends and returns how often there was something.
func (r reader) again(ctx context.Context) (n int, _ error) {
	last := make(map[string]int64)
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for {
		one, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
		figures, err := r.read(one)
		cancel()
		if err != nil {
			return n, fmt.Errorf("%s, after %d reads: %w", r.name, n, err)
		}
		for name, figure := range figures {
			if before, seen := last[name]; seen && figure < before {
				return n, fmt.Errorf("%s, after %d reads: %w: %s is %d and was %d", r.name, n, ErrWentBack, name, figure, before)
			}
			last[name] = figure
		}
		if figures != nil {
			n++
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return n, nil
		}
	}
}
