package chaos

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore/logcheck"
	"github.com/57528e99/recount/tests/chaos/work"
)

// checkOrders checks what clients were told over HTTP against the log, and lets
// the product verify all of its projections.
func (r *run) checkOrders(ctx context.Context, l *storedLog) error {
	if r.config.Servers == 0 {
		return nil
	}
	var found []logcheck.Violation
	broken := func(format string, args ...any) {
		found = append(found, logcheck.Violation{Rule: RuleHTTP, Text: fmt.Sprintf(format, args...)})
	}
	answered, read := 0, 0
	for _, p := range r.ofRole(roleClient) {
		placings, err := work.LoadPlacings(work.HistoryFile(r.dir, p.name))
		if err != nil {
			return err
		}
		for _, p := range placings {
			if p.Status != 0 {
				answered++
			}
			if p.Read != 0 {
				read++
			}
		}
		checkPlacings(placings, l, broken)
	}
	if r.config.Clients > 0 {
		if read == 0 {
			found = append(found, logcheck.Violation{Rule: RuleLoad, Text: "no order was read behind the token of its answer"})
		}
		r.check("answers over HTTP", answered, found)
	}
	found = nil
	for id, o := range l.orders {
		if o.placed != 1 {
			broken("order %s was placed %d times", id, o.placed)
		}
	}
	r.check("orders are placed once", len(l.orders), found)
	found, err := r.verifyProjections(ctx)
	if err != nil {
		return err
	}
	r.check("recount projections verify --all", 1, found)
	return nil
}

// verifyProjections lets the product compare its rows with the log. A rebuild that
// was on its way when its operator was stopped goes on first.
func (r *run) verifyProjections(ctx context.Context) (found []logcheck.Violation, err error) {
	var underway bool
	err = r.onDatabase(ctx, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM recount.projection_operations WHERE state = 'running')`).Scan(&underway)
	})
	if err != nil {
		return nil, err
	}
	commands := [][]string{{"verify", "--all"}}
	if underway {
		commands = [][]string{{"rebuild", "orders"}, {"verify", "--all"}}
	}
	for _, c := range commands {
		args := append(append([]string{"projections"}, c...), "--database", r.cluster.dsn())
		if out, err := exec.CommandContext(ctx, r.config.Recount, args...).CombinedOutput(); err != nil {
			found = append(found, logcheck.Violation{Rule: logcheck.RuleRows, Text: fmt.Sprintf("recount projections %s: %s\n%.2000s", c, err, out)})
		}
	}
	return found, nil
}

// checkPlacings checks what one client was told.
func checkPlacings(placings []work.Placing, l *storedLog, broken func(string, ...any)) {
	answers := make(map[string]work.Placing)
	for _, p := range placings {
		if p.Status == 0 {
			continue
		}
		if first, ok := answers[p.ID]; ok && (first.Status != p.Status || first.Body != p.Body || first.ETag != p.ETag) {
			broken("order %s was answered %d %s, and then %d %s", p.ID, first.Status, first.Body, p.Status, p.Body)
		}
		answers[p.ID] = p
		if p.Status != http.StatusCreated {
			broken("order %s was answered %d %s", p.ID, p.Status, p.Body)
			continue
		}
		stored, ok := l.orders[p.ID]
		switch {
		case !ok:
			broken("order %s was acknowledged and is not in the log", p.ID)
		case stored.quantity != p.Quantity:
			broken("order %s was of %d pieces, the log has %d", p.ID, p.Quantity, stored.quantity)
		case p.Read != 0 && p.Read != int64(p.Quantity)*work.UnitPrice:
			broken("order %s was read with a total of %d at the token of its answer, it is %d (-1: no order)", p.ID, p.Read, p.Quantity*work.UnitPrice)
		}
	}
}
