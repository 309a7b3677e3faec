package main

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/app/cli"
	"github.com/57528e99/recount/eventstore/logcheck"
	"github.com/57528e99/recount/eventstore/logcheck/pglog"
	"github.com/57528e99/recount/internal/pgtest/freeport"
	"github.com/57528e99/recount/migrations"
	"github.com/57528e99/recount/shop/onlineretail"
	"github.com/57528e99/recount/shop/sample"
)

// Import and Verify retry, so the server may be away for a while.
func TestKilledDevLosesNothing(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	dev, url := startDev(t, "--data", dir, "--listen", freeport.For(t).Address())
	book := makeBook(t)

	// The server is killed in the middle of the first import, and the import in the middle of what
	// is left.
	ctx, interrupt := context.WithCancel(t.Context())
	restart := make(chan struct{})
	wire := &tripwire{at: map[int64]func(){
		30: func() {
			_ = dev.cmd.Process.Kill()
			close(restart)
		},
		60: interrupt,
	}}
	c := onlineretail.Config{Server: url, Concurrency: 8, Client: &http.Client{Transport: wire}}
	imported := make(chan error, 1)
	go func() {
		_, err := onlineretail.Import(ctx, c, book)
		imported <- err
	}()
	<-restart
	<-dev.ended
	dev, _ = startDev(t, "--data", dir, "--listen", strings.TrimPrefix(url, "http://"))
	if err := <-imported; !errors.Is(err, context.Canceled) {
		t.Fatalf("the interrupted import ended with %v", err)
	}

	// The second import does the rest, the third finds nothing to do.
	c.Client = nil
	if r := importAll(t, c, book); r.Total < 100 {
		t.Errorf("the import has %d commands, want some more than it was interrupted after", r.Total)
	}
	before := lastEvent(t, dir)
	if r := importAll(t, c, book); r.Replayed != r.Total {
		t.Errorf("the third import replayed %d of %d commands, want all", r.Replayed, r.Total)
	}
	if after := lastEvent(t, dir); after != before {
		t.Errorf("the third import appended: the last event was\n%sand is\n%s", before, after)
	}
	judgeLog(t, dev)
	dev.stopGently(t)
}

// tripwire does something when a server has accepted so many requests, before their sender knows of
// the last of them.
type tripwire struct {
	at       map[int64]func()
	accepted atomic.Int64
}

// RoundTrip implements http.RoundTripper.
func (w *tripwire) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err == nil && answer.StatusCode < 300 {
		if do := w.at[w.accepted.Add(1)]; do != nil {
			do()
		}
	}
	return answer, err
}

// judgeLog checks what holds for every log, of a running dev.
func judgeLog(t *testing.T, dev *process) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dev.await(t, `psql '(.*)'`)[1])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	log, err := pglog.Read(t.Context(), conn, migrations.DefaultSchema, nil)
	if err != nil {
		t.Fatal(err)
	}
	logcheck.Test(t, logcheck.CheckLog(log))
}

// lastEvent returns the last event of the log of a running dev.
func lastEvent(t *testing.T, dataDir string) string {
	t.Helper()
	data, said := newTranscript(), newTranscript()
	a := program(cli.Program{Stdout: data, Stderr: said, Getenv: func(string) string { return "" }})
	code := a.Run(t.Context(), []string{"log", "tail", "-n", "1", "-o", "json", "--data", dataDir})
	event, _ := data.read()
	if problem, _ := said.read(); code != cli.ExitOK || event == "" {
		t.Fatalf("recount log tail: exit code %d, %q: %s", code, event, problem)
	}
	return event
}

func makeBook(t *testing.T) *onlineretail.Book {
	t.Helper()
	var file strings.Builder
	if err := sample.Generate(&file, sample.Config{Orders: 40, MaxLines: 20}); err != nil {
		t.Fatal(err)
	}
	book, err := onlineretail.Read(strings.NewReader(file.String()))
	if err != nil {
		t.Fatal(err)
	}
	return book
}

func importAll(t *testing.T, c onlineretail.Config, book *onlineretail.Book) onlineretail.Report {
	t.Helper()
	report, err := onlineretail.Import(t.Context(), c, book)
	if err != nil {
		t.Fatal(err)
	}
	differences, err := onlineretail.Verify(t.Context(), c, book, report.Token)
	if err != nil || len(differences) > 0 {
		t.Fatalf("the server has other sales (%v):\n%s", err, differences)
	}
	return report
}
