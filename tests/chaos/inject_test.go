package chaos

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/operations"
)

// injections show of each kind of fault that it breaks what its name says, and
// that it is over then.
var injections = map[Kind]func(*broken){
	Kill: func(b *broken) {
		before := b.pid()
		b.inject(Fault{Kind: Kill, Target: idler})
		until(b.T, "another process runs", func() bool { return b.pid() != before })
		b.alive()
	},
	KillAtPoint: func(b *broken) {
		b.inject(Fault{Kind: KillAtPoint, Target: idler, Point: "append/begin", Hit: 3})
		until(b.T, "the process has died at its failpoint", func() bool { return b.processes[idler].counts().AtPoints == 1 })
		b.alive()
	},
	Freeze: func(b *broken) {
		b.alive()
		end := b.during(Fault{Kind: Freeze, Target: idler})
		until(b.T, "the process is stopped", func() bool { return b.state() == "T" })
		end()
		b.alive()
	},
	CutBefore: func(b *broken) {
		b.inject(Fault{Kind: CutBefore, Target: client})
		if err := b.write("cut before"); err == nil || b.written("cut before") {
			b.Errorf("COMMIT = %v, the row is there: %t; want an error and no row", err, b.written("cut before"))
		}
		b.must(b.write("after the cut"))
	},
	CutAfter: func(b *broken) {
		b.inject(Fault{Kind: CutAfter, Target: client})
		if err := b.write("cut after"); err == nil || !b.written("cut after") {
			b.Errorf("COMMIT = %v, the row is there: %t; want an error and the row", err, b.written("cut after"))
		}
	},
	HoldCommit: func(b *broken) {
		b.inject(Fault{Kind: HoldCommit, Target: client, For: time.Hour})
		if err := b.write("held"); err == nil || b.written("held") {
			b.Errorf("COMMIT = %v, the row is there: %t; want an error and no row yet", err, b.written("held"))
		}
		b.gates[client].proxy.Release()
		until(b.T, "the COMMIT has come to the server", func() bool { return b.written("held") })
	},
	DelayCommit: func(b *broken) {
		const delay = 300 * time.Millisecond
		b.inject(Fault{Kind: DelayCommit, Target: client, For: delay})
		begin := time.Now()
		b.must(b.write("delayed"))
		if took := time.Since(begin); took < delay {
			b.Errorf("a COMMIT that waits for %s took %s", delay, took)
		}
	},
	CutAll: func(b *broken) {
		one, other := b.connect(), b.connect()
		b.inject(Fault{Kind: CutAll, Target: client})
		for _, conn := range []*pgx.Conn{one, other} {
			if err := conn.Ping(b.Context()); err == nil {
				b.Error("a connection has survived")
			}
		}
		until(b.T, "there is nothing left to break", func() bool {
			return errors.Is(b.injector.inject(b.Context(), Fault{Kind: CutAll, Target: client}), errNothing)
		})
	},
	Deafen: func(b *broken) {
		listener := b.connect()
		_, err := listener.Exec(b.Context(), `LISTEN news`)
		b.must(err)
		proxy := b.gates[client].proxy
		end := b.during(Fault{Kind: Deafen, Target: client})
		until(b.T, "a notification is dropped", func() bool {
			b.must(b.run.exec(b.Context(), `NOTIFY news, 'lost'`))
			return proxy.Dropped() > 0
		})
		end()
		b.must(b.run.exec(b.Context(), `NOTIFY news, 'heard'`))
		for heard := ""; heard != "heard"; {
			n, err := listener.WaitForNotification(b.Context())
			b.must(err)
			heard = n.Payload
		}
	},
	KillBackend: func(b *broken) {
		conn := b.connect()
		b.inject(Fault{Kind: KillBackend})
		until(b.T, "the connection is gone", func() bool { return conn.Ping(b.Context()) != nil })
		b.recovers("a backend was killed")
	},
	KillPostmaster: func(b *broken) {
		before := b.cluster.server.PID()
		b.inject(Fault{Kind: KillPostmaster})
		if now := b.cluster.server.PID(); now == before {
			b.Error("the same process runs")
		}
		b.recovers("the postmaster was killed")
	},
	FillData: func(b *broken) { b.fills(FillData) },
	FillWAL:  func(b *broken) { b.fills(FillWAL) },
	Rollbacks: func(b *broken) {
		// By chance one in twenty may also be none of a few, or most.
		const enough = 200
		tries, failed := 0, 0
		end := b.during(Fault{Kind: Rollbacks})
		for deadline := time.Now().Add(2 * time.Minute); (tries < enough || failed == 0) && time.Now().Before(deadline); tries++ {
			if b.insertsEvents() != nil {
				failed++
			}
		}
		end()
		if failed == 0 || failed > tries/5 {
			b.Errorf("%d of %d transactions failed, want some 5%%", failed, tries)
		}
		for range 100 {
			b.must(b.insertsEvents())
		}
	},
	StepClock: func(b *broken) {
		for _, step := range []time.Duration{-time.Hour, 0} {
			b.inject(Fault{Kind: StepClock, For: step})
			var seconds float64
			b.must(b.onDatabase(b.Context(), func(conn *pgx.Conn) error {
				return conn.QueryRow(b.Context(), `SELECT extract(epoch FROM clock_timestamp() - pg_catalog.clock_timestamp())::float8`).Scan(&seconds)
			}))
			if off := seconds - step.Seconds(); off < -1 || off > 1 {
				b.Errorf("the clock is set by %.1fs, want %s", seconds, step)
			}
		}
	},
	Leave: func(b *broken) {
		b.alive()
		before := b.pid()
		end := b.during(Fault{Kind: Leave, Target: idler})
		until(b.T, "the process has ended", func() bool { return b.state() == "gone" })
		end()
		b.alive()
		if b.pid() == before {
			b.Error("the same process runs")
		}
	},
	Pause: func(b *broken) {
		paused := func() bool { return b.subscription("hooks").State == operations.Paused }
		end := b.during(Fault{Kind: Pause, Target: "hooks"})
		until(b.T, "the subscription is paused", paused)
		end()
		if paused() {
			b.Error("the subscription is paused still")
		}
	},
	Redefine: func(b *broken) {
		for i, what := range []string{"filter", "retry", "partitions"} {
			before := b.subscription("hooks").Definition
			b.inject(Fault{Kind: Redefine, Target: "hooks", Hit: i})
			after := b.subscription("hooks").Definition
			changed := map[string]bool{"filter": string(before.Filter) != string(after.Filter), "retry": before.Retry != after.Retry,
				"partitions": before.Partitions != after.Partitions}
			if len(changed) != len(redefinitions) || !changed[what] {
				b.Errorf("the %s is as before", what)
			}
		}
	},
	Outage: func(b *broken) {
		answer := func() int {
			body := fmt.Sprintf(`{"position":1,"stream":"s","message_id":"%s"}`, uuid.New())
			r, err := http.Post(b.receiver.url("hooks"), "application/json", strings.NewReader(body))
			b.must(err)
			b.must(r.Body.Close())
			return r.StatusCode
		}
		b.receiver.mend()
		end := b.during(Fault{Kind: Outage, Target: string(roleReceiver)})
		until(b.T, "the receiver is down", func() bool { return answer() == http.StatusServiceUnavailable })
		end()
		if status := answer(); status != http.StatusOK {
			b.Errorf("the receiver answers %d, want 200", status)
		}
	},
}

// subscription returns one of the subscriptions.
func (b *broken) subscription(name string) (s delivery.Status) {
	b.Helper()
	b.must(b.administer(b.Context(), func(a *delivery.Admin) (err error) {
		s, err = a.Get(b.Context(), name)
		return err
	}))
	return s
}

// TestFaultsBreakWhatTheySay injects each kind of fault by itself.
func TestFaultsBreakWhatTheySay(t *testing.T) {
	b := newBroken(t)
	for _, r := range recipes {
		t.Run(string(r.kind), func(t *testing.T) {
			breaks, ok := injections[r.kind]
			if !ok {
				t.Fatal("nothing shows what it breaks")
			}
			before := b.injector.counts()[r.kind]
			breaks(&broken{t, b.run})
			if b.injector.counts()[r.kind] == before {
				t.Error("it was not counted")
			}
		})
	}
}

// TestSessionsAreHeld wants the old snapshot and the idle transaction, again and
// again.
func TestSessionsAreHeld(t *testing.T) {
	b := newBroken(t)
	for name, want := range map[string]string{
		"a long snapshot":     `backend_xmin IS NOT NULL AND state LIKE 'idle in transaction%'`,
		"idle in transaction": `backend_xid IS NOT NULL AND state LIKE 'idle in transaction%'`,
	} {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			b.hold(ctx, name, sessions[name])
		}()
		last := int32(0)
		for range 2 { // the second when the first was ended
			until(t, name+" is there", func() bool {
				err := b.onDatabase(t.Context(), func(conn *pgx.Conn) error {
					return conn.QueryRow(t.Context(), `SELECT pid FROM pg_stat_activity WHERE pid NOT IN (pg_backend_pid(), $1) AND application_name = $2 AND `+want,
						last, harnessName).Scan(&last)
				})
				return err == nil
			})
			b.must(b.run.exec(t.Context(), `SELECT pg_terminate_backend($1)`, last))
		}
		cancel()
		<-done
	}
}
