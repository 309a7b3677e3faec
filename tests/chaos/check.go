package chaos

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/logcheck"
	"github.com/57528e99/recount/eventstore/logcheck/pglog"
	"github.com/57528e99/recount/migrations"
	"github.com/57528e99/recount/tests/chaos/work"
)

// judge heals, lets everybody finish, and checks what is left.
func (r *run) judge(ctx context.Context) error {
	begin := time.Now()
	recovery, err := r.recover(ctx)
	if err != nil {
		return err
	}
	r.report.Recovery = recoveryOf(recovery)
	r.check("comes back", len(recovery.AtHead)+1, logcheck.Converged(recovery, appendWithin, headWithin))
	r.check("ends in good order", len(r.processes), r.quiesce(ctx))
	r.report.Seconds.Recovery = time.Since(begin).Seconds()

	begin = time.Now()
	err = r.onDatabase(ctx, func(conn *pgx.Conn) error { return r.checkAll(ctx, conn) })
	r.report.Seconds.Checks = time.Since(begin).Seconds()
	return err
}

// check puts what a validator has found among n things into the report. One that
// had nothing to look at would find nothing, whatever is broken.
func (r *run) check(name string, n int, found []logcheck.Violation) {
	if n == 0 {
		found = append(found, logcheck.Violation{Rule: RuleLoad, Text: fmt.Sprintf("there was nothing to check for %q", name)})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Checks = append(r.report.Checks, Check{Name: name, Checked: n, Violations: len(found)})
	for _, v := range found {
		r.report.Violations = append(r.report.Violations, Violation{Rule: string(v.Rule), Text: v.Text})
		fmt.Fprintf(r.config.Log, "VIOLATION %s\n", v)
	}
}

func (r *run) checkAll(ctx context.Context, conn *pgx.Conn) error {
	left, err := r.leftConnections(ctx, conn)
	if err != nil {
		return err
	}
	r.check("connections left behind", len(r.processes), logcheck.Leaks(nil, left))
	r.checkProcesses()
	log, err := r.readLog(ctx, conn)
	if err != nil {
		return err
	}
	history, err := r.history()
	if err != nil {
		return err
	}
	r.checkHistory(&history, log)
	if err := r.checkSide(ctx, conn, log); err != nil {
		return err
	}
	if err := r.checkProjections(ctx, conn, log); err != nil {
		return err
	}
	if err := r.checkDeliveries(ctx, conn, log); err != nil {
		return err
	}
	return r.checkOrders(ctx, log)
}

// leftConnections returns the connections that are not gone a moment after all
// processes are.
func (r *run) leftConnections(ctx context.Context, conn *pgx.Conn) (left map[string]int, err error) {
	for deadline := time.Now().Add(5 * time.Second); ; wait(ctx, 50*time.Millisecond) {
		left, err = pglog.Connections(ctx, conn)
		if err != nil || len(withoutOurs(left)) == 0 || time.Now().After(deadline) {
			return left, err
		}
	}
}

// withoutOurs takes the harness's own connections out.
func withoutOurs(connections map[string]int) map[string]int {
	for name := range connections {
		if strings.HasPrefix(name, "connections of "+harnessName+",") {
			delete(connections, name)
		}
	}
	return connections
}

// checkProcesses looks for crashes that nobody caused.
func (r *run) checkProcesses() {
	var found []logcheck.Violation
	for _, p := range r.processes {
		text, err := os.ReadFile(p.log.Name())
		if err != nil {
			found = append(found, logcheck.Violation{Rule: RuleCrash, Text: err.Error()})
		}
		for _, sign := range []string{"panic:", "fatal error:", "WARNING: DATA RACE", work.ErrLeak.Error()} {
			if strings.Contains(string(text), sign) {
				found = append(found, logcheck.Violation{Rule: RuleCrash, Text: fmt.Sprintf("%s: its log has %q", p.name, sign)})
			}
		}
		if c := p.counts(); p.done && !c.Finished {
			found = append(found, logcheck.Violation{Rule: RuleCrash, Text: fmt.Sprintf("%s did not finish; last exit: %s", p.name, c.LastExit)})
		}
	}
	r.check("no crash of their own", len(r.processes), found)
}

// The rules that only a harness of processes can check.
const (
	// RuleCrash is violated by a process that ends for no reason of ours.
	RuleCrash logcheck.Rule = "processes end when they are told to"
	// RuleSide is violated if rows of a caller's own transaction are not there
	// together with its events.
	RuleSide logcheck.Rule = "own rows and events together"
	// RuleHTTP is violated by answers over HTTP that do not fit the log.
	RuleHTTP logcheck.Rule = "answers over HTTP hold"
	// RuleLoad is violated by a run that did too little.
	RuleLoad logcheck.Rule = "enough was done"
)

// storedLog is the log with what the checks of this package need beyond it.
type storedLog struct {
	*logcheck.Log
	notes  *logcheck.Log // the writers' events alone
	rows   map[string]*work.NoteRow
	ids    map[uuid.UUID]bool
	orders map[string]*storedOrder
	due    []due // what subscriptions may match
	head   int64
}

func (r *run) readLog(ctx context.Context, conn *pgx.Conn) (*storedLog, error) {
	l := &storedLog{notes: logcheck.NewLog(work.Identify), rows: make(map[string]*work.NoteRow),
		ids: make(map[uuid.UUID]bool), orders: make(map[string]*storedOrder)}
	var err error
	l.Log, err = pglog.Read(ctx, conn, migrations.DefaultSchema, func(e *eventstore.RecordedEvent) uuid.UUID {
		return l.add(e)
	})
	if err != nil {
		return nil, err
	}
	l.head = l.Head()
	return l, nil
}

// add looks at an event as it is read, and returns what its sender knows it by.
func (l *storedLog) add(e *eventstore.RecordedEvent) uuid.UUID {
	id := work.Identify(e)
	if id != uuid.Nil {
		l.notes.Add(*e)
		l.ids[id] = true
		l.addNote(e)
	}
	l.addOrder(e)
	return id
}

// history returns what all writers and readers did.
func (r *run) history() (logcheck.History, error) {
	var paths []string
	for _, p := range r.ofRole(roleWriter, roleReader) {
		path := work.HistoryFile(r.dir, p.name)
		if _, err := os.Stat(path); err == nil {
			paths = append(paths, path)
		}
	}
	return logcheck.Load(paths...)
}

// checkHistory runs the rules of package logcheck, and counts what was done.
func (r *run) checkHistory(h *logcheck.History, l *storedLog) {
	acked := 0
	seen := make(map[uuid.UUID]bool)
	for i := range h.Appends {
		if a := &h.Appends[i]; a.Outcome == logcheck.Acked && !seen[a.IDs[0]] {
			seen[a.IDs[0]] = true
			acked += len(a.IDs)
		}
	}
	r.report.Stored, r.report.Acked = l.Len(), acked
	r.report.Appends, r.report.Reads, r.report.Batches = len(h.Appends), len(h.Reads), len(h.Batches)

	filters := make(map[string]eventstore.Filter)
	for _, name := range r.filtered {
		filters[name] = eventstore.Filter{Categories: filteredCategories}
	}
	options := logcheck.Options{Deliveries: logcheck.DeliveryOptions{Filters: filters, Head: l.head}}
	about := subjectsOf(h)
	for _, judge := range logcheck.Rules() {
		rule, log := judge.Rules[0], l.Log
		switch {
		case rule == logcheck.RuleUnsent:
			log, about[rule] = l.notes, l.notes.Len()
		case judge.OfLog:
			about[rule] = l.Len()
		case rule == logcheck.RuleOrdered && r.config.Readers == 0:
			continue
		}
		r.check(judge.Name, about[rule], judge.Check(h, log, options))
	}
	r.checkLoad()
}

// checkLoad checks that the run was hard enough to say something.
func (r *run) checkLoad() {
	broken := 0
	for _, n := range r.injector.counts() {
		broken += n
	}
	var found []logcheck.Violation
	for _, load := range []struct {
		what      string
		got, want int
	}{
		{"events were acknowledged", r.report.Acked, r.config.Events},
		{"faults happened", broken, r.config.MinFaults},
	} {
		if load.got < load.want {
			found = append(found, logcheck.Violation{Rule: RuleLoad, Text: fmt.Sprintf("%d %s, want %d", load.got, load.what, load.want)})
		}
	}
	r.check("enough was done", r.report.Acked, found)
}

// checkSide checks that rows that writers wrote in the transactions of their
// appends are there if those were acknowledged, and only if the events are.
func (r *run) checkSide(ctx context.Context, conn *pgx.Conn, l *storedLog) error {
	rows, err := conn.Query(ctx, `SELECT id FROM chaos.side WHERE clash IS NULL`)
	if err != nil {
		return err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return err
	}
	var acked []uuid.UUID
	for _, p := range r.ofRole(roleWriter) {
		own, err := work.LoadOwn(work.OwnFile(r.dir, p.name))
		if err != nil {
			return err
		}
		acked = append(acked, own...)
	}
	r.check("own rows and events together", len(ids), sideBySide(ids, acked, l.ids))
	return nil
}

// sideBySide compares the rows that are there with the appends that were
// acknowledged together with one, and with the events that are there.
func sideBySide(rows, acked []uuid.UUID, events map[uuid.UUID]bool) (found []logcheck.Violation) {
	there := make(map[uuid.UUID]bool, len(rows))
	for _, id := range rows {
		there[id] = true
		if !events[id] {
			found = append(found, logcheck.Violation{Rule: RuleSide, Text: fmt.Sprintf("the row for %s is there, its event is not", id)})
		}
	}
	for _, id := range acked {
		if !there[id] {
			found = append(found, logcheck.Violation{Rule: RuleSide, Text: fmt.Sprintf("the row for %s is not there, its append was acknowledged", id)})
		}
	}
	return found
}
