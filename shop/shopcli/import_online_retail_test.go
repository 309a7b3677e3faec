package shopcli

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/57528e99/recount/app/cli"
	"github.com/57528e99/recount/shop/onlineretail"
)

func TestProgressRewritesItsLineOnATerminal(t *testing.T) {
	t.Parallel()
	report := onlineretail.Report{Total: 200, Done: 50, Replayed: 10, Retries: 2, Trouble: errors.New("no\nroute"), Elapsed: time.Second}
	for _, c := range []struct {
		rewrites bool
		want     string
	}{
		{true, "\rimport: 50 of 200 commands, 50/s, 10 of them done before, 2 retries (no\uFFFDroute)\x1b[K\n"},
		{false, "import: 50 of 200 commands, 50/s, 10 of them done before, 2 retries (no\uFFFDroute)\n"},
	} {
		said := new(strings.Builder)
		p := (&cli.Program{Stderr: said, StderrTTY: c.rewrites}).Progress("import")
		p.Say(progressOf(report))
		p.End()
		if got := said.String(); got != c.want {
			t.Errorf("progress = %q, want %q", got, c.want)
		}
	}
}

func TestAmountsHaveAUnit(t *testing.T) {
	t.Parallel()
	for minor, want := range map[int64]string{0: "0.00 GBP", 5: "0.05 GBP", -99999: "-999.99 GBP", 100000: "1,000.00 GBP", 1234567890: "12,345,678.90 GBP"} {
		if got := amount(minor, "GBP"); got != want {
			t.Errorf("amount(%d) = %s, want %s", minor, got, want)
		}
	}
}
