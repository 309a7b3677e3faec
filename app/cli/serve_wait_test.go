package cli

import (
	"context"
	"io"
	"net"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/rs/zerolog"

	"github.com/57528e99/recount/eventstore/logcheck/logtest"
	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/internal/pgtest/freeport"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestServeWaitsForTheDatabase(t *testing.T) {
	t.Parallel()
	db, err := pgx.ParseConfig(logtest.New(t).DSN)
	if err != nil {
		t.Fatal(err)
	}
	address := freeport.For(t).Address() // nobody listens there for now
	dsn := url.URL{Scheme: "postgres", User: url.UserPassword(db.User, db.Password), Host: address, Path: "/" + db.Database}

	said := make(lines, 1)
	done := make(chan error, 1)
	go func() { done <- awaitDatabase(t.Context(), dsn.String(), time.Hour, zerolog.New(said)) }()
	want := regexp.MustCompile(`"error":"(failed to connect[^"]*refused)","patience_ms":3600000,"message":"waiting for the database"`)
	if line := <-said; !want.MatchString(line) {
		t.Errorf("it said %s, want %s", line, want)
	}
	forward(t, address, db)
	if err := <-done; err != nil {
		t.Errorf("a database that came later: %v", err)
	}

	dsn.Path += "_that_is_not_there"
	if err := awaitDatabase(t.Context(), dsn.String(), time.Hour, zerolog.Nop()); err == nil || !strings.Contains(err.Error(), "3D000") {
		t.Errorf("a database that the server does not have: %v, want its error at once", err)
	} else if hint := (&Program{App: testApp}).hintFor(err); hint != "create it: createdb "+strings.TrimPrefix(dsn.Path, "/") {
		t.Errorf("hint for a database that the server does not have: %q", hint)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(ErrInterrupted)
	if err := awaitDatabase(ctx, "postgres://nobody@127.0.0.1:1/x", time.Hour, zerolog.Nop()); ExitCode(err) != ExitInterrupted {
		t.Errorf("interrupted: %v", err)
	}
}

// forward passes connections to an address on to a database, until the test ends.
func forward(t *testing.T, address string, db *pgx.ConnConfig) {
	t.Helper()
	ln, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	t.Cleanup(func() {
		ln.Close()
		serving.Wait()
	})
	network, server := pgconn.NetworkAddress(db.Host, db.Port)
	serving.Go(func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer client.Close()
				upstream, err := net.Dial(network, server)
				if err != nil {
					return
				}
				serving.Go(func() {
					_, _ = io.Copy(upstream, client)
					upstream.Close()
				})
				_, _ = io.Copy(client, upstream)
			})
		}
	})
}

// lines gets what is logged.
type lines chan string

// Write implements io.Writer.
func (l lines) Write(line []byte) (int, error) {
	l <- string(line)
	return len(line), nil
}
