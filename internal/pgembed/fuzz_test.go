//go:build unix

package pgembed

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// FuzzParsePostmaster reads what a server that starts, was killed or never was one has left.
func FuzzParsePostmaster(f *testing.F) {
	f.Add("4711\n/data\n1700000000\n5432\n/tmp\n127.0.0.1\n  123 4\nready   \n")
	f.Add("4711\n/data\n17")
	f.Add("-1\n\n\n5432 sslmode=x\n/tmp?x=y&z\n")
	f.Add("4294967297")
	f.Add("\x00\n\n\n\n\n\n\n\n\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		p := parsePostmaster(text)
		first, _, _ := strings.Cut(text, "\n")
		if p.pid < 0 || p.pid > 1<<31-1 || p.pid != 0 && strings.TrimLeft(strings.TrimSpace(first), "0") != fmt.Sprint(p.pid) {
			t.Errorf("of %q the process is %d", text, p.pid)
		}
		if p.ready && strings.Count(text, "\n") < 7 {
			t.Errorf("%q is taken for a server that is ready", text)
		}
		// Nothing but the host and the port come from the file.
		config, err := pgx.ParseConfig(dsnFor(p.socketDir, p.port, Database))
		if err == nil && (config.User != User || config.Database != Database || len(config.RuntimeParams) > 0) {
			t.Errorf("of %q the address is %+v", text, config)
		}
	})
}
