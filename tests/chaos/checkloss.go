package chaos

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore/logcheck"
	"github.com/57528e99/recount/tests/chaos/work"
)

// checkLoss checks what must hold although events were lost: what is there is a
// log, what was acknowledged in its present incarnation is in it, readers were told
// where they had gone too far, and rows are of the events that are there.
func (r *run) checkLoss(ctx context.Context, s *survivors, loss *Loss, began, adopted int64, found []logcheck.Violation) error {
	history, err := logcheck.Load(work.HistoryFile(s.dir, "writer-1"), work.HistoryFile(s.dir, "reader-1"), work.HistoryFile(s.dir, "reader-2"))
	if err != nil {
		return err
	}
	loss.count(&history, began, adopted)
	if loss.Lost == 0 || loss.Refused == 0 {
		found = append(found, logcheck.Violation{Rule: RuleLoad, Text: fmt.Sprintf("%s: %d acknowledged events were lost and %d appends refused, want some of both", loss.Name, loss.Lost, loss.Refused)})
	}
	for _, reader := range []string{"reader-1", "reader-2"} {
		told, err := work.LoadChanged(s.dir, reader)
		if err != nil {
			return err
		}
		loss.Told += len(told)
		found = append(found, checkTold(&history, reader, told, loss.LastCommon)...)
	}
	r.report.Losses = append(r.report.Losses, *loss)
	return r.onDatabase(ctx, func(conn *pgx.Conn) error {
		l, err := r.readLog(ctx, conn)
		if err != nil {
			return err
		}
		found = append(found, logcheck.Check(&history, l.Log, logcheck.Options{
			// Others appended too, and what is lost was read.
			Except:     []logcheck.Rule{logcheck.RuleUnsent, logcheck.RuleReads, logcheck.RuleLinearizable},
			Deliveries: logcheck.DeliveryOptions{From: s.from, Head: l.head},
		})...)
		r.check(loss.Name, len(history.Appends)+len(history.Batches), found)
		if err := r.checkProjections(ctx, conn, l); err != nil {
			return err
		}
		return r.checkDeliveries(ctx, conn, l)
	})
}

// count counts what was lost and what was refused. Began is when the copy took
// the place of the database, adopted when somebody adopted it.
func (loss *Loss) count(h *logcheck.History, began, adopted int64) {
	for i := range h.Appends {
		a := &h.Appends[i]
		switch {
		case a.Outcome == logcheck.Acked && a.Start < began && a.Position > loss.LastCommon:
			loss.Lost += len(a.IDs)
		case a.Outcome == logcheck.Refused && a.Start > began && a.Start < adopted:
			loss.Refused++
		}
	}
}

// checkTold checks that a reader that had gone beyond what both incarnations have was
// told so, once, with the right position.
func checkTold(h *logcheck.History, reader string, told []work.Changed, lastCommon int64) (found []logcheck.Violation) {
	beyond := int64(0)
	first := int64(0)
	for i := range h.Batches {
		b := &h.Batches[i]
		if b.Reader != reader {
			continue
		}
		if first == 0 {
			first = b.Incarnation
		}
		if b.Incarnation == first {
			beyond = max(beyond, b.Next-1)
		}
	}
	want := 0
	if beyond > lastCommon {
		want = 1
	}
	if len(told) != want || want == 1 && told[0].LastCommon != lastCommon {
		found = append(found, logcheck.Violation{Rule: RuleTold,
			Text: fmt.Sprintf("%s had read up to %d, the incarnations share %d; it was told %+v", reader, beyond, lastCommon, told)})
	}
	return found
}
