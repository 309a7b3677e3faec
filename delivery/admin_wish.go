package delivery

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/operations"
)

// Wished is what Redrive or Discard has asked for, or would.
type Wished struct {
	Subscription string `json:"subscription"`
	DryRun       bool   `json:"dry_run,omitzero"`
	// Count is how many dead letters it is about.
	Count int64 `json:"count"`
	// First are the first of their positions, at most 10.
	First []int64 `json:"first"`
}

// DeadOptions are the choices of Redrive and Discard.
type DeadOptions struct {
	// Filter picks the letters. It must not be empty unless All is set.
	Filter DeadFilter
	All    bool
	DryRun bool
	// Rate bounds how many are redriven in a second, in order of position: a letter waits as such until it is its turn, and so
	// holds nothing up. Whose turn came while nobody delivers are tried together. Default: all at once.
	Rate float64
	// Reason is why, and Actor who.
	Reason, Actor string
}

// Redrive lets dead letters be tried again as if they had never been, in order of position for each key: by the
// owner of their partition, as soon as there is one. Events of their key behind them may have been delivered
// before, unless the subscription holds them; each delivery says that it is a redrive.
//
// Errors: ErrNotFound, operations.ErrInvalid.
func (a *Admin) Redrive(ctx context.Context, name string, o DeadOptions) (Wished, error) {
	return a.wish(ctx, name, wantRedrive, o)
}

// Discard forgets dead letters: they count as neither delivered nor dead.
//
// Errors: ErrNotFound, operations.ErrInvalid, also without a reason.
func (a *Admin) Discard(ctx context.Context, name string, o DeadOptions) (Wished, error) {
	if o.Reason == "" && !o.DryRun {
		return Wished{}, fmt.Errorf("discard dead letters of subscription %q: %w", name, operations.InvalidOption("reason", "must say why"))
	}
	return a.wish(ctx, name, wantDiscard, o)
}

func (a *Admin) wish(ctx context.Context, name string, w wish, o DeadOptions) (Wished, error) {
	done := Wished{Subscription: name, DryRun: o.DryRun, First: []int64{}}
	err := func() error {
		if o.Filter.IsZero() && !o.All {
			return operations.InvalidOption("filter", "must pick some, or all must be true")
		}
		switch {
		case !isRate(o.Rate):
			return invalidRate(o.Rate)
		case o.Rate > 0 && w != wantRedrive:
			return operations.InvalidOption("rate", "is that of a redrive")
		}
		q := DeadQuery{DeadFilter: o.Filter, Limit: maxDeadLimit}
		for {
			letters, next, err := a.dead(ctx, name, q)
			if err != nil {
				return err
			}
			var positions []int64
			for i := range letters {
				positions = append(positions, letters[i].Position)
			}
			before := done.Count
			done.Count += int64(len(positions))
			done.First = append(done.First, positions[:min(len(positions), 10-len(done.First))]...)
			if len(positions) > 0 && !o.DryRun {
				if err := a.steer(ctx, string(w)+" dead letters of", name, func(tx pgx.Tx, s *found) (bool, error) {
					return true, a.wishFor(ctx, tx, s, w, before, positions, o)
				}); err != nil {
					return err
				}
			}
			if next == "" {
				return nil
			}
			q.Cursor = next
		}
	}()
	if err != nil {
		return done, fmt.Errorf("%s dead letters of subscription %q: %w", w, name, err)
	}
	return done, nil
}

const (
	// Of a dead letter the time of its next attempt is that of its turn.
	wishSQL = `
UPDATE {schema}.subscription_parked r SET wanted = $3, wanted_by = $4, wanted_reason = $5,
    next_attempt_at = CASE WHEN $6::float8 > 0 THEN now() + ($7::bigint + w.n - 1) / $6::float8 * interval '1 second' END
FROM unnest($2::bigint[]) WITH ORDINALITY AS w (position, n)
WHERE r.subscription = $1 AND r.position = w.position AND r.ordinal = 0 AND r.state = 'dead'`

	// Partitions that nobody has are taken by the operator, so that a owner of before cannot write what is removed.
	fenceSomeSQL = `
UPDATE {schema}.subscription_partitions SET epoch = nextval('{schema}.subscription_epochs'), member = NULL
WHERE subscription = $1 AND partition = ANY ($2)`

	discardSQL = `
DELETE FROM {schema}.subscription_parked
WHERE subscription = $1 AND position = ANY ($2) AND ordinal = 0 AND state = 'dead' AND partition = ANY ($3)`
)

// wishFor writes down what is wanted of dead letters, for the owners of their partitions to do. What nobody owns is
// discarded at once. Before is how many have their turn before them.
func (a *Admin) wishFor(ctx context.Context, tx pgx.Tx, s *found, w wish, before int64, positions []int64, o DeadOptions) error {
	all, err := a.records.lockAll(ctx, tx, s.id)
	if err != nil {
		return err
	}
	slices.Sort(positions)
	if s.definition.Target.Pull != nil {
		if o.Rate > 0 {
			return operations.InvalidOption("rate", "is not for what is pulled: who pulls takes what they can")
		}
		if _, err := a.records.wantPulled(ctx, tx, s, w, positions, dead); err != nil {
			return err
		}
		return a.auditWish(ctx, tx, s, w, positions, o)
	}
	reason, actor := operations.SanitizeText(o.Reason), operations.SanitizeText(o.Actor)
	b := &pgx.Batch{}
	if w == wantDiscard {
		var free []int32
		for _, p := range all {
			if !p.owned {
				free = append(free, int32(p.partition))
			}
		}
		b.Queue(a.records.sql(fenceSomeSQL), s.id, free)
		b.Queue(a.records.sql(discardSQL), s.id, positions, free)
	}
	b.Queue(a.records.sql(wishSQL), s.id, positions, string(w), actor, reason, o.Rate, before)
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return err
	}
	return a.auditWish(ctx, tx, s, w, positions, o)
}

func (a *Admin) auditWish(ctx context.Context, tx pgx.Tx, s *found, w wish, positions []int64, o DeadOptions) error {
	text := describePositions(positions)
	if o.Rate > 0 {
		text += fmt.Sprintf(", %v a second", o.Rate)
	}
	return a.records.audit(ctx, tx, s, o.Actor, string(w), text+orPrefix(": ", o.Reason))
}

func orPrefix(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}

// describePositions says which positions, the first of them.
func describePositions(positions []int64) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d events at", len(positions))
	for _, p := range positions[:min(len(positions), 10)] {
		fmt.Fprintf(&b, " %d", p)
	}
	if len(positions) > 10 {
		b.WriteString(" …")
	}
	return b.String()
}

// RetryNow lets an event that waits for its next attempt be tried without waiting longer, by the owner of its partition.
//
// Errors: ErrNotFound; ErrNotWaiting if no event waits there.
func (a *Admin) RetryNow(ctx context.Context, name string, position int64, actor string) error {
	return a.steer(ctx, "retry an event of", name, func(tx pgx.Tx, s *found) (bool, error) {
		if _, err := a.records.lockAll(ctx, tx, s.id); err != nil {
			return false, err
		}
		if n, err := a.retryNow(ctx, tx, s, position, actor); err != nil || n == 0 {
			return false, cmp.Or(err, error(ErrNotWaiting))
		}
		return true, a.records.audit(ctx, tx, s, actor, "retry", fmt.Sprintf("position %d", position))
	})
}

func (a *Admin) retryNow(ctx context.Context, tx pgx.Tx, s *found, position int64, actor string) (int, error) {
	if s.definition.Target.Pull != nil {
		return a.records.wantPulled(ctx, tx, s, wantRetry, []int64{position}, waiting)
	}
	tag, err := tx.Exec(ctx, a.records.sql(`
UPDATE {schema}.subscription_parked SET wanted = 'retry', wanted_by = $3 WHERE subscription = $1 AND position = $2 AND state = 'waiting'`),
		s.id, position, operations.SanitizeText(actor))
	return int(tag.RowsAffected()), err
}

// ErrNotWaiting is returned by RetryNow for a position at which no event waits for its next attempt.
var ErrNotWaiting = eventstore.NewError(eventstore.ClassConflict, "no event waits for its next attempt there")
