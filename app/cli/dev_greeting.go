package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/hint"
	"github.com/57528e99/recount/delivery/mail/inbox"
	"github.com/57528e99/recount/internal/pgembed"
)

// greet says what runs where, and what to try. All lines can be copied as they are.
func (prog *Program) greet(d dev, db *devDatabase, url, admin string, took time.Duration) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s is ready after %.1fs\n\n", prog.App.ProgramName(), took.Seconds())
	fmt.Fprintf(&b, "  API       %s\n", url)
	fmt.Fprintf(&b, "  mails     %s%s\n", url, inbox.Path)
	if admin != "" {
		fmt.Fprintf(&b, "  metrics   %s/metrics\n", admin)
	}
	switch {
	case db.server == nil:
		fmt.Fprintf(&b, "  database  %s\n", describe(db.dsn))
	default:
		fmt.Fprintf(&b, "  database  psql '%s'\n", db.dsn)
		if dsn := db.server.TCPDSN(pgembed.Database); dsn != "" {
			fmt.Fprintf(&b, "            psql '%s'\n", dsn)
		}
		fmt.Fprintf(&b, "  data      %s\n", d.whereData(db))
	}
	switch welcome := prog.App.Welcome; {
	case d.options.RequireTokens: // the lines of Welcome have none
		fmt.Fprintf(&b, `
Requests need a token. Make one, and see what there is to ask:

  (umask 077; %[2]s tokens create me --role admin%[3]s | sed 's/^/Authorization: Bearer /' > header)
  curl -H @header %[1]s/
`, url, self(), prog.findFlags(d, db))
	case welcome != nil:
		fmt.Fprintf(&b, "\n%s", welcome(app.Running{URL: url, Program: self(), Flags: prog.findFlags(d, db)}))
	}
	b.WriteString("\nStop with Ctrl-C.\n")
	fmt.Fprint(prog.Stderr, b.String())
}

func (d *dev) whereData(db *devDatabase) string {
	if d.fresh {
		return db.server.DataDir() + ", removed at the end"
	}
	return filepath.Dir(db.server.DataDir())
}

// findFlags are the flags with which other commands find the log.
func (prog *Program) findFlags(d dev, db *devDatabase) string {
	flags := ""
	another, _ := prog.getenv("{PROGRAM}_DATABASE")
	switch {
	case d.fresh, db.server == nil, another != "", prog.Getenv("DATABASE_URL") != "":
		flags = " --database " + hint.Quote(db.dsn)
	case d.dataDir != defaultDataDir:
		flags = " --data " + hint.Quote(d.dataDir)
	}
	return flags + hint.SchemaFlag(d.schema)
}

// self returns how to call this program again.
func self() string {
	if strings.Contains(os.Args[0], "go-build") {
		if info, ok := debug.ReadBuildInfo(); ok {
			return "go run ." + strings.TrimPrefix(info.Path, info.Main.Path)
		}
	}
	return hint.Quote(os.Args[0])
}
