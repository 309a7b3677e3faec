package main

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/57528e99/recount/app/hint"
	"github.com/57528e99/recount/internal/pgembed"
)

// greet says what runs where, and what to try. All lines can be copied as they are.
func (a *app) greet(d dev, db *devDatabase, url, admin string, took time.Duration) {
	var b strings.Builder
	fmt.Fprintf(&b, "recount is ready after %.1fs\n\n", took.Seconds())
	fmt.Fprintf(&b, "  API       %s\n", url)
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
	// The id is new each time, so the lines work as often as recount is started.
	id := "try-" + strings.ToLower(rand.Text()[:6])
	fmt.Fprintf(&b, `
Place an order, and see it in the log and in two read models:

  curl %s/v1/orders -H 'Content-Type: application/json' -d '%s'
`, url, fmt.Sprintf(tryOrder, id))
	fmt.Fprintf(&b, "  %s streams show order-%s%s\n", self(), id, a.findFlags(d, db))
	fmt.Fprintf(&b, "  curl %s/v1/orders/%s\n  curl '%[1]s/v1/sales?by=country'\n", url, id)
	b.WriteString("\nStop with Ctrl-C.\n")
	fmt.Fprint(a.stderr, b.String())
}

const tryOrder = `{"id":"%s","customer_id":"ann","country":"Norway","currency":"NOK","lines":[{"sku":"TEA-1","description":"Green tea","quantity":2,"unit_price_minor":4500}]}`

func (d *dev) whereData(db *devDatabase) string {
	if d.fresh {
		return db.server.DataDir() + ", removed at the end"
	}
	return filepath.Dir(db.server.DataDir())
}

// findFlags are the flags with which other commands find the log.
func (a *app) findFlags(d dev, db *devDatabase) string {
	flags := ""
	switch {
	case d.fresh, db.server == nil, a.getenv("RECOUNT_DATABASE") != "", a.getenv("DATABASE_URL") != "":
		flags = " --database " + hint.Quote(db.dsn)
	case d.dataDir != defaultDataDir:
		flags = " --data " + hint.Quote(d.dataDir)
	}
	return flags + hint.SchemaFlag(d.schema)
}

// self returns how to call this program again.
func self() string {
	if strings.Contains(os.Args[0], "go-build") {
		return "go run ./cmd/recount"
	}
	return hint.Quote(os.Args[0])
}
