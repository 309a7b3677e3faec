package cli_test

import (
	"bytes"
	"context"
	"errors"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/apptest"
	"github.com/57528e99/recount/app/cli"
	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/sagas"
)

type leave struct {
	Approved string `json:"approved"`
}

// TestSagasOnTheCommandLine: operators list instances, look at them and act on them, on the database and by a server.
func TestSagasOnTheCommandLine(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	broken.Store(true)
	desk := app.App{Name: "desk", Modules: []app.Module{{Name: "leaves", Sagas: []*sagas.Saga{
		sagas.Define("leave", 1, func(s *sagas.Steps[leave]) {
			s.Ask("approve", nil).UndoCall(func(context.Context, sagas.Call, *leave) error {
				if broken.Load() {
					return sagas.Fatal("broken", errors.New("the calendar is broken"))
				}
				return nil
			})
			s.Ask("book", nil)
		}),
	}}}}
	x := apptest.Postgres(t, desk)
	for _, id := range []string{"ann", "ben"} {
		if _, err := x.Service.Sagas.Do(t.Context(), "leave", id, sagas.Begin{ID: id}, commands.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	server := httptest.NewServer(x.Service.API)
	defer server.Close()
	where := map[string][]string{"database": {"--database", x.Service.Pool.Config().ConnString(), "--schema", x.Service.Schema}, "server": {"--server", server.URL}}
	for _, step := range []struct {
		where string
		args  []string
		code  int
		want  string
		// then is the status to wait for.
		then sagas.Status
	}{
		{"database", []string{"ls", "leave"}, 0, `leave +(ann|ben) +1 +running +approve .*\nleave +(ann|ben) +1 +running +approve`, ""},
		{"server", []string{"ls", "--status", "running", "--limit", "1"}, 0, `SAGA.*\nleave +ben .*\n$`, ""},
		{"server", []string{"ls", "leave", "--step", "approve", "--older-than", "1h"}, 0, `SAGA.*\n$`, ""},
		{"database", []string{"ls", "--step", "approve"}, 2, `needs a saga`, ""},
		{"database", []string{"answer", "leave", "ann", "approve"}, 2, `say why with --reason`, ""},
		{"server", []string{"answer", "leave", "ann", "approve", "--changes", `{"approved":"boss"}`, "--reason", "seen"}, 0, `ann of leave is running`, ""},
		{"database", []string{"cancel", "leave", "ann", "--reason", "ill"}, 0, `ann of leave is (compensating|stuck)`, sagas.Stuck},
		{"server", []string{"cancel", "leave", "ann", "--reason", "ill"}, 4, `says where it is`, ""},
		{"database", []string{"cancel", "leave", "ann", "--reason", "ill"}, 4, `sagas show SAGA ID`, ""},
		{"database", []string{"cancel", "leave", "cid", "--reason", "ill"}, 3, `no such instance(.|\n)*desk sagas ls`, ""},
		{"server", []string{"cancel", "leave", "cid", "--reason", "ill"}, 3, `no such instance`, ""},
		{"database", []string{"migrate", "leave", "ann", "--to", "2", "--reason", "newer"}, 1, `no version 2 of saga "leave"`, ""},
		{"database", []string{"ls", "--status", "stuck"}, 0, `leave +ann +1 +stuck +approve`, ""},
		{"server", []string{"diagram", "leave", "ann", "--format", "mermaid"}, 0, `leave version 1, ann: stuck(.|\n)*approve.*stuck: broken`, ""},
		{"database", []string{"diagram", "leave", "ann"}, 0, `<svg (.|\n)*stuck: broken`, ""},
		{"database", []string{"diagram", "leave", "cid"}, 3, `no such instance`, ""},
		{"database", []string{"doctor"}, 0, `warning +saga leave +1 instances of version 1 have a step that cannot be undone, one of them since \S+\n +hint: desk sagas ls leave --status stuck`, ""},
		{"server", []string{"doctor"}, 2, `unknown flag: --server\n.*desk doctor reads the database and asks no server: --database`, ""},
		{"server", []string{"show", "leave", "ann"}, 0, `approve +stuck +broken +the calendar is broken(.|\n)*approved: "boss"(.|\n)*SagaIntervened +\S+ +.*"reason":"ill"`, ""},
		{"database", []string{"pause", "leave"}, 2, `say why with --reason`, ""},
		{"database", []string{"pause", "leaves", "--reason", "holidays"}, 2, `is "leaves", which this program has not: it has leave`, ""},
		{"database", []string{"pause", "leave", "--reason", "holidays"}, 0, `leave: paused saga-leave-steps`, ""},
		{"database", []string{"subscriptions", "audit", "saga-leave-steps"}, 0, `pause +holidays`, ""},
		{"server", []string{"resume", "leave", "--reason", "holidays are over"}, 0, `leave: resumed saga-leave-steps`, ""},
		{"server", []string{"redrive", "leave", "--reason", "the calendar is back"}, 0, `0 dead letters of saga-leave-steps are tried again`, ""},
		{"server", []string{"redrive", "leave", "ann", "--reason", "the calendar is back"}, 0, `0 dead letters of saga-leave-steps are tried again`, ""},
		{"database", []string{"redrive", "leave", "ann", "--reason", "the calendar is back"}, 0, `0 dead letters of saga-leave-steps are tried again`, ""},
		{"server", []string{"redrive", "leave", "cid", "--reason", "the calendar is back"}, 3, `no such instance`, ""},
		{"server", []string{"retry", "leave", "ann", "approve", "--reason", "mended"}, 0, `ann of leave is `, sagas.Cancelled},
		{"database", []string{"show", "leave", "ann", "--output", "json"}, 0, `"status": ?"cancelled"(.|\n)*"type": ?"SagaEnded"`, ""},
		{"server", []string{"skip", "leave", "ben", "approve", "--reason", "the boss is ill"}, 0, `ben of leave is running`, ""},
		{"database", []string{"terminate", "leave", "ben", "--reason", "test"}, 0, `ben of leave is terminated`, ""},
	} {
		broken.Store(step.args[0] != "retry")
		apptest.Rows(x, sagas.Instances) // the list has come up to here
		var out bytes.Buffer
		prog := cli.New(desk)
		prog.Stdout, prog.Stderr, prog.Getenv = &out, &out, func(string) string { return "" }
		args := append(slices.Clone(step.args), where[step.where]...)
		if step.args[0] == "doctor" { // also of a program that may run without sagas
			prog.App, prog.Extensions = app.App{Name: "desk"}, []cli.Extension{{App: &cli.Variants{
				Most:  desk,
				Flags: func(*pflag.FlagSet, bool) func(string) (app.App, func() error, error) { return nil },
			}}}
		}
		if step.args[0] != "doctor" && step.args[0] != "subscriptions" {
			args = append([]string{"sagas"}, args...)
		}
		if code := prog.Run(t.Context(), args); code != step.code || !regexp.MustCompile(step.want).Match(out.Bytes()) {
			t.Errorf("by the %s %q = %d\n%swant %d and %s", step.where, step.args, code, out.String(), step.code, step.want)
		}
		for end := time.Now().Add(30 * time.Second); step.then != ""; time.Sleep(5 * time.Millisecond) {
			if i, _, _ := x.Service.Sagas.Load(t.Context(), "leave", step.args[2]); i.Status == step.then {
				break
			} else if time.Now().After(end) {
				t.Fatalf("%s is %s, want %s", step.args[2], i.Status, step.then)
			}
		}
		if step.then == sagas.Stuck {
			apptest.Rows(x, sagas.Instances)
			if ready := x.Request("GET", "/readyz?verbose", "").Body.String(); !strings.Contains(ready, `{"saga":"leave","status":"stuck","instances":1,`) {
				t.Errorf("/readyz?verbose has no word of the one that is stuck: %s", ready)
			}
		}
	}
}
