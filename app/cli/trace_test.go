package cli_test

import (
	"bytes"
	"net/http/httptest"
	"regexp"
	"testing"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/apptest"
	"github.com/57528e99/recount/app/cli"
	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/sagas"
)

// TestTraceOnTheCommandLine: by a server and on the database, the same tree.
func TestTraceOnTheCommandLine(t *testing.T) {
	t.Parallel()
	desk := app.App{Name: "desk", Modules: []app.Module{{Name: "leaves", Sagas: []*sagas.Saga{
		sagas.Define("leave", 1, func(s *sagas.Steps[leave]) { s.Ask("approve", nil) }),
	}}}}
	x := apptest.Postgres(t, desk)
	if _, err := x.Service.Sagas.Do(t.Context(), "leave", "ann", sagas.Begin{ID: "ann"}, commands.Options{CausationID: "call 7", CorrelationID: "c-1", Actor: "ann"}); err != nil {
		t.Fatal(err)
	}
	if err := x.Service.Sagas.Answer(t.Context(), "leave-ann/1", nil, "", "", commands.Options{Actor: "boss"}); err != nil {
		t.Fatal(err)
	}
	for _, stream := range []string{"alien-1", "saga-alien-1"} { // of another App
		e := eventstore.Event{Type: "Landed", Data: []byte(`{}`), Metadata: []byte(`{"correlation_id":"c-1"}`)}
		if _, err := x.Service.Log.Append(t.Context(), eventstore.StreamAppend{Stream: stream, Expected: eventstore.NoStream, Events: []eventstore.Event{e}}, eventstore.AppendOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	server := httptest.NewServer(x.Service.API)
	defer server.Close()
	for _, where := range [][]string{{"--database", x.Service.Pool.Config().ConnString(), "--schema", x.Service.Schema}, {"--server", server.URL}} {
		for _, c := range []struct {
			args []string
			code int
			want string
		}{
			{[]string{"3"}, 0, `^EVENT +STREAM .* BY\nSagaStarted +saga-leave-ann +0 +1 .*ann, from outside: call 7\n  SagaStepScheduled .*\n    SagaStepCompleted \* +.*\+[0-9.]+ms +boss, saga leave\n    SagaEnded .*\n\n4 events of the log from position 1 to 6, its end.\n$`},
			{[]string{"c-1", "--with-data"}, 0, `DATA\nSagaStarted .*"id":"ann"`},
			{[]string{"c-1", "--limit", "1"}, 0, `1 events of the log from position 1 to 1, which ends at 6: there may be more`},
			{[]string{"c-1", "-o", "json", "--with-data"}, 0, `"correlation_id": ?"c-1"(.|\n)*"link": ?"cause"(.|\n)*"data":`},
			{[]string{"c-2"}, 3, `no such event: none of 6`},
			{[]string{"6", "--with-data"}, 3, `no such event`},
			{[]string{"c-1", "--limit", "0"}, 2, `--limit is from 1`},
		} {
			var out bytes.Buffer
			prog := cli.New(desk)
			prog.Stdout, prog.Stderr, prog.Getenv = &out, &out, func(string) string { return "" }
			args := append(append([]string{"trace"}, c.args...), where...)
			if code := prog.Run(t.Context(), args); code != c.code || !regexp.MustCompile(c.want).MatchString(out.String()) {
				t.Errorf("%q: exit code %d with\n%s\nwant %d with %s", args, code, &out, c.code, c.want)
			}
		}
	}
}
