package delivery

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/delivery/internal/core"
)

// pullRules are what of a definition its rows go by.
type pullRules struct {
	id     int64
	perKey int
	hold   bool
	retry  Retry
}

func newPullRules(id int64, d *Definition) pullRules {
	return pullRules{id: id, perKey: d.Target.Pull.PerKey, hold: d.AfterDead == Hold, retry: d.Retry}
}

// pullOp is what a caller says of an event that it has.
type pullOp uint8

const (
	opAck pullOp = iota
	opNack
	opExtend
	// opRelease: it never reached the caller.
	opRelease
)

// pullItem is what a caller says of one event, and what comes of it.
type pullItem struct {
	op    pullOp
	token pullToken
	lease time.Duration // of opExtend
	nack  NackOptions

	result TokenResult
	row    *pulledRow // as it was; nil: there is none
	// class is of a row that is dead; charged: the failure counts against the event.
	class   string
	charged bool
}

// pullAsk is what callers want, and what they get.
type pullAsk struct {
	max   int
	lease time.Duration
	token uuid.UUID
	rows  []pulledRow
}

// pullChanges are changes of rows that the transaction has locked.
type pullChanges struct {
	rules    *pullRules
	acked    []int64
	failed   map[pullFailure][]int64
	extended map[time.Duration][]int64
	// returned are rows that take their place in line again; unmade of them count one attempt less.
	returned, unmade []int64
	// keys are those whose next may be had.
	keys []string
}

// pullFailure is what rows have that failed alike.
type pullFailure struct {
	state   rowState
	charged int
	class   string
	err     string
	// delay is until the next attempt; byRetry: as the retry of the definition says.
	delay time.Duration
}

const byRetry = -1

// The classes of failures that are not dead.
const (
	classNack  = "nack"
	classLease = "lease_expired"
)

// fail lets a row fail, and returns the class of why it is dead; empty: it goes on as f says.
func (c *pullChanges) fail(row *pulledRow, now time.Time, charged, permanent bool, f pullFailure) (class string) {
	n := row.Charged
	if charged {
		f.charged, n = 1, n+1
	}
	switch {
	case permanent:
		class = core.ClassPermanent
	case charged && n >= c.rules.retry.MaxAttempts:
		class = core.ClassExhausted
	case n > 0 && !row.FirstFailed.IsZero() && now.Sub(row.FirstFailed) > time.Duration(c.rules.retry.MaxAge):
		class = core.ClassExpired
	}
	if class != "" {
		f.state, f.class = dead, class
	}
	if f.state != waiting {
		c.keys = append(c.keys, row.Key)
	}
	if c.failed == nil {
		c.failed = make(map[pullFailure][]int64)
	}
	c.failed[f] = append(c.failed[f], row.Position)
	row.State, row.moved = f.state, true
	return class
}

// takeBack takes those of the rows back that somebody has of the same key behind a row.
func (c *pullChanges) takeBack(row *pulledRow, rows []pulledRow) {
	for i := range rows {
		if other := &rows[i]; other.Key == row.Key && other.Position > row.Position && other.State == leased && !other.removed && !other.moved {
			other.moved = true
			c.returned = append(c.returned, other.Position)
		}
	}
}

func (r *records) queueChanges(b *pgx.Batch, c *pullChanges) {
	id := c.rules.id
	if len(c.acked) > 0 {
		b.Queue(r.sql(ackSQL), id, c.acked)
	}
	retry := c.rules.retry
	for f, positions := range c.failed {
		var delay *time.Duration
		if f.delay != byRetry {
			delay = &f.delay
		}
		b.Queue(r.sql(failSQL), id, positions, string(f.state), f.charged, f.class, f.err, delay,
			time.Duration(retry.First).Seconds(), retry.Factor, time.Duration(retry.Cap).Seconds())
	}
	if len(c.returned) > 0 {
		b.Queue(r.sql(returnSQL), id, c.returned, 0)
	}
	if len(c.unmade) > 0 {
		b.Queue(r.sql(returnSQL), id, c.unmade, 1)
	}
	for lease, positions := range c.extended {
		b.Queue(r.sql(extendSQL), id, positions, lease)
	}
	if len(c.keys) > 0 {
		slices.Sort(c.keys)
		b.Queue(r.sql(freeSQL), id, slices.Compact(c.keys))
	}
}

// settle does what callers say of events that they have, and hands out others, in one transaction. It returns the feed as it
// is then. What was said of events is in the items; evidence is what is known of others, and gets what was acknowledged.
func (r *records) settle(ctx context.Context, rules *pullRules, items []*pullItem, asks []*pullAsk, evidence *pullEvidence) (feed pullFeed, err error) {
	err = retryOnLocks(func() error {
		known := *evidence
		err := r.onConn(ctx, func(c *pgxpool.Conn) error {
			b := beginBatch()
			if len(items) > 0 {
				changes, err := r.lockItems(ctx, c, b, rules, items, &known)
				if err != nil {
					return err
				}
				b = &pgx.Batch{}
				r.queueChanges(b, changes)
			}
			if b, err = r.queueAsks(ctx, c, b, rules, asks); err != nil {
				return err
			}
			r.queueFeed(b, rules.id, &feed)
			b.Queue(`COMMIT`)
			return send(ctx, c, b)
		})
		if err == nil {
			*evidence = known
		}
		return err
	})
	return feed, err
}

// lockItems locks the rows of items, and says what comes of them. What is acknowledged is removed meanwhile, if that is all: a row is
// written once then, and not twice.
func (r *records) lockItems(ctx context.Context, c *pgxpool.Conn, b *pgx.Batch, rules *pullRules, items []*pullItem, evidence *pullEvidence) (*pullChanges, error) {
	positions, tokens := make([]int64, len(items)), make([]string, len(items))
	acksOnly := rules.perKey == 1
	for i, it := range items {
		positions[i], tokens[i] = it.token.position, it.token.id.String()
		acksOnly = acksOnly && it.op == opAck
	}
	var rows []pulledRow
	var now time.Time
	read := func(found pgx.Rows) error {
		some, err := scanPulled(found)
		rows = append(rows, some...)
		return err
	}
	b.Queue(`SELECT now()`).QueryRow(func(row pgx.Row) error { return row.Scan(&now) })
	if acksOnly {
		b.Queue(r.sql(ackTokensSQL), rules.id, positions, tokens).Query(read)
		b.Queue(r.sql(othersSQL), rules.id, positions).Query(read)
	} else {
		slices.Sort(positions)
		b.Queue(r.sql(lockTokensSQL), rules.id, slices.Compact(positions), rules.perKey > 1).Query(read)
	}
	if err := send(ctx, c, b); err != nil {
		return nil, err
	}
	slices.SortFunc(rows, func(a, b pulledRow) int { return cmp.Compare(a.Position, b.Position) })
	changes := &pullChanges{rules: rules, extended: make(map[time.Duration][]int64)}
	// What was acknowledged tells about what failed.
	for _, acks := range []bool{true, false} {
		for _, it := range items {
			if (it.op == opAck) == acks {
				changes.settle(it, rows, now.UTC(), evidence)
			}
		}
	}
	if acksOnly {
		changes.acked = nil
	}
	return changes, nil
}

// settle does what a caller says of an event, if it has it still.
func (c *pullChanges) settle(it *pullItem, rows []pulledRow, now time.Time, evidence *pullEvidence) {
	i, there := slices.BinarySearchFunc(rows, it.token.position, func(r pulledRow, p int64) int { return cmp.Compare(r.Position, p) })
	it.result, it.row = TokenResult{Token: it.result.Token, Outcome: TokenGone}, nil
	if !there || rows[i].removed {
		return
	}
	row := &rows[i]
	if it.result.Outcome = TokenOvertaken; row.moved || row.Token != it.token.id || it.op == opExtend && row.State != leased {
		return
	}
	was := *row
	it.row, it.result.Outcome = &was, TokenSettled
	switch it.op {
	case opAck:
		row.removed = true
		c.acked, c.keys = append(c.acked, row.Position), append(c.keys, row.Key)
		evidence.saw(row.Key, now)
	case opNack:
		since := row.LeasedAt
		if !row.LastTry.IsZero() {
			since = row.LastTry
		}
		delay, next := time.Duration(byRetry), waiting
		if it.nack.Delay != nil {
			if delay = *it.nack.Delay; delay == 0 {
				next = blocked // until it has its turn, which is at once
			}
		}
		// Who comes late is not charged again: its lease that ran out was.
		it.charged = it.nack.Permanent || row.State == leased && evidence.worked(row.Key, since)
		it.class = c.fail(row, now, it.charged, it.nack.Permanent, pullFailure{state: next, class: classNack, err: it.nack.Error, delay: delay})
		c.takeBack(row, rows)
		it.result.Dead = it.class != ""
	case opExtend:
		it.result.Deadline = now.Add(it.lease)
		c.extended[it.lease] = append(c.extended[it.lease], row.Position)
	case opRelease:
		row.moved = true
		c.unmade, c.keys = append(c.unmade, row.Position), append(c.keys, row.Key)
		c.takeBack(row, rows)
	}
}

// queueAsks hands out rows that are ready. With several events of a key at once it sends the batch, and returns the next.
func (r *records) queueAsks(ctx context.Context, c *pgxpool.Conn, b *pgx.Batch, rules *pullRules, asks []*pullAsk) (*pgx.Batch, error) {
	for _, a := range asks {
		a.token, a.rows = uuid.New(), nil
	}
	for _, a := range asks {
		take := func(rows pgx.Rows) error {
			found, err := scanPulled(rows)
			a.rows = append(a.rows, found...)
			slices.SortFunc(a.rows, func(a, b pulledRow) int { return cmp.Compare(a.Position, b.Position) })
			return err
		}
		b.Queue(r.sql(serveSQL), rules.id, max(a.max/rules.perKey, 1), a.token, a.lease).Query(take)
		each := min(rules.perKey, a.max)
		if each == 1 {
			continue
		}
		if err := send(ctx, c, b); err != nil {
			return nil, err
		}
		if b = (&pgx.Batch{}); len(a.rows) == 0 {
			break // nor is there anything for the others
		}
		keys := make([]string, len(a.rows))
		for i := range a.rows {
			keys[i] = a.rows[i].Key
		}
		b.Queue(r.sql(followersSQL), rules.id, keys, each-1, a.token, a.lease).Query(take)
	}
	return b, nil
}
