package delivery

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/pgerr"
	"github.com/57528e99/recount/operations"
)

// PutOptions are the choices of Put.
type PutOptions struct {
	// IfRevision is the revision that the subscription must have, NotThere if it must not be there. Default: any.
	IfRevision int64
	// Actor is who wants it.
	Actor string
	// DryRun says what would be done, and does nothing.
	DryRun bool
	// Declared is for programs that say at each start what they have: a subscription that an operator has
	// paused stays so, and so does the number of partitions that an operator has chosen.
	Declared bool
	// merge is that of Subscription.
	merge func(was, is Definition) Definition
}

// NotThere is the PutOptions.IfRevision of a subscription that is to be made.
const NotThere = -1

// Change is what Put or Delete did, or would do.
type Change struct {
	Subscription string     `json:"subscription"`
	Done         ChangeDone `json:"done"`
	// Revision is the one that the subscription has now, also of a dry run: 0 while it is not there.
	Revision int64 `json:"revision"`
	DryRun   bool  `json:"dry_run,omitzero"`
	// Fields are the members of the definition that differ, by pointer.
	Fields []FieldChange `json:"fields,omitzero"`
	// Effects say in words what comes of it: from where on it counts, and what becomes of partitions.
	Effects []string `json:"effects,omitzero"`
	// Position is that of the event behind which a subscription that was made begins.
	Position *int64 `json:"position,omitzero"`
}

// ChangeDone is what became of a subscription.
type ChangeDone string

// What may become of one.
const (
	Created   ChangeDone = "created"
	Changed   ChangeDone = "changed"
	Unchanged ChangeDone = "unchanged"
	Deleted   ChangeDone = "deleted"
)

// FieldChange is a member of a definition that differs.
type FieldChange struct {
	Pointer string `json:"pointer"`
	// Was and Is are JSON; empty: it was, or is, not there.
	Was jsontext.Value `json:"was,omitzero"`
	Is  jsontext.Value `json:"is,omitzero"`
}

func (c *Change) effect(format string, args ...any) {
	c.Effects = append(c.Effects, fmt.Sprintf(format, args...))
}

// Put makes a subscription, or changes the one that has the name. The same again changes nothing. A change moves no
// cursor: what partitions have passed does not come again, and from where they are they go by the new definition.
// The start is looked at when the subscription is made, never again.
//
// Errors: *InvalidError, also for a filter that is left out and was there; *RevisionError, ErrAnotherApp, ErrKeyChange.
func (a *Admin) Put(ctx context.Context, d Definition, o PutOptions) (Change, error) {
	leftOut := d.Filter == nil && !o.Declared
	d, err := d.Checked()
	if err != nil {
		return Change{}, err
	}
	if string(d.Filter) == "null" {
		d.Filter = nil
	}
	if !o.Declared { // a program may be the one that is about to keep them
		if err := a.checkSource(ctx, &d); err != nil {
			return Change{}, err
		}
		if err := a.checkEnrich(ctx, &d); err != nil {
			return Change{}, err
		}
	}
	c, err := a.of(&d).put(ctx, d, leftOut, o)
	if err != nil {
		return Change{}, fmt.Errorf("put subscription %q: %w", d.Name, err)
	}
	return c, nil
}

func (a *Admin) put(ctx context.Context, d Definition, leftOut bool, o PutOptions) (c Change, err error) {
	var start *begin
	for try := 1; ; try++ {
		c = Change{Subscription: d.Name, DryRun: o.DryRun}
		err := a.records.inTx(ctx, func(tx pgx.Tx) error {
			before, err := a.records.find(ctx, tx, d.Name, "NO KEY UPDATE")
			switch {
			case errors.Is(err, ErrNotFound):
				err = a.create(ctx, tx, d, start, o, &c)
			case err == nil:
				is := d
				if o.merge != nil {
					is, err = o.merge(before.definition, d).Checked()
				}
				if err == nil {
					err = a.change(ctx, tx, before, is, leftOut, o, &c)
				}
			}
			switch {
			case err == nil && c.Done != Unchanged && o.DryRun:
				c.Revision = 0
				if before != nil {
					c.Revision = before.revision
				}
				return errDryRun
			case err == nil && c.Done != Unchanged:
				return a.records.raise(ctx, tx)
			}
			return err
		})
		switch {
		case errors.Is(err, errDryRun):
			return c, nil
		case errors.Is(err, errNoBegin):
			// The end of the log is read before the row is written: nothing falls in between.
			if start, err = a.begin(ctx, d); err != nil {
				return c, err
			}
			continue
		case pgerr.Is(err, pgerr.UniqueViolation) && try < 3:
			continue // another made it meanwhile
		}
		return c, err
	}
}

const (
	insertSubscriptionSQL = `
INSERT INTO {schema}.subscriptions (name, app, definition, needs, partitions, start_position, desired, created_by, declared, changes_of)
VALUES ($1, $2, $3, $4, $5, $6, CASE WHEN $7 THEN 'paused' ELSE 'running' END, $8, $9, $10) RETURNING id`

	insertRevisionSQL = `INSERT INTO {schema}.subscription_revisions (subscription, revision, definition, made_by) VALUES ($1, $2, $3, $4)`

	insertPartitionsSQL = `
INSERT INTO {schema}.subscription_partitions (subscription, partition, log_id, incarnation, position, filled)
SELECT $1, n, $2, $3, $4::bigint, CASE WHEN $6 THEN $4::bigint END FROM generate_series(0, $5 - 1) AS n`

	insertStartsSQL = `
INSERT INTO {schema}.subscription_revision_starts (subscription, partition, revision, from_position)
SELECT $1, n, 1, $2 FROM generate_series(0, $3 - 1) AS n`
)

// stored returns the definition as it is kept: whether it is paused is said by its row.
func stored(d Definition) (string, error) {
	d.Paused = false
	text, err := d.JSON()
	return string(text), err
}

func (a *Admin) create(ctx context.Context, tx pgx.Tx, d Definition, begin *begin, o PutOptions, c *Change) error {
	switch {
	case o.IfRevision > 0:
		return &RevisionError{d.Name, o.IfRevision, 0}
	case begin == nil:
		return errNoBegin
	case begin.err != nil:
		return begin.err
	}
	text, err := stored(d)
	if err != nil {
		return err
	}
	c.Done, c.Revision, c.Position = Created, 1, &begin.at.Position
	c.effect("it begins with the first event that matches behind position %d", begin.at.Position)
	if d.Paused {
		c.effect("it is paused: nothing is delivered until it is resumed")
	}
	actor := operations.SanitizeText(o.Actor)
	s := &found{definition: d}
	err = tx.QueryRow(ctx, a.records.sql(insertSubscriptionSQL), d.Name, a.records.app, text, d.needs(), d.Partitions, begin.at.Position, d.Paused, actor, o.Declared,
		d.Source.changesOf()).Scan(&s.id)
	if err != nil {
		return err
	}
	b := &pgx.Batch{}
	a.records.queueCreate(b, s.id, begin.at, d, text, actor)
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return err
	}
	return a.records.audit(ctx, tx, s, o.Actor, "create", fmt.Sprintf("behind position %d", begin.at.Position))
}

// queueCreate makes what a subscription that begins behind a place has beside its row.
func (r *records) queueCreate(b *pgx.Batch, id int64, at eventstore.Token, d Definition, text, actor string) {
	b.Queue(r.sql(insertRevisionSQL), id, 1, text, actor)
	b.Queue(r.sql(insertPartitionsSQL), id, at.Log, at.Incarnation, at.Position, d.Partitions, d.Target.Pull != nil)
	b.Queue(r.sql(insertStartsSQL), id, at.Position+1, d.Partitions)
}

const declareSQL = `UPDATE {schema}.subscriptions SET declared = true WHERE id = $1 AND NOT declared`

const changeSQL = `
UPDATE {schema}.subscriptions
SET definition = $2, revision = $3, needs = $4, desired = CASE WHEN $5 THEN 'paused' ELSE 'running' END, updated_at = clock_timestamp()
WHERE id = $1`

func (a *Admin) change(ctx context.Context, tx pgx.Tx, before *found, d Definition, leftOut bool, o PutOptions, c *Change) error {
	c.Done, c.Revision = Unchanged, before.revision
	switch {
	case o.IfRevision != 0 && o.IfRevision != before.revision:
		return &RevisionError{d.Name, o.IfRevision, before.revision}
	case (before.definition.Target.Pull != nil) != (d.Target.Pull != nil):
		return &InvalidError{d.Name, []*FieldError{{"/target", "must stay pulled, or stay pushed: make a subscription of another name that starts where this one is"}}}
	case leftOut && before.definition.Filter != nil:
		return &InvalidError{d.Name, []*FieldError{{"/filter", "is left out, and the subscription has one: repeat it, or give null for all events"}}}
	}
	if d.Start != before.definition.Start {
		c.effect("the start stays %s: it is looked at when the subscription is made; to move its cursors, reset it", must(json.Marshal(before.definition.Start)))
		d.Start = before.definition.Start
	}
	if was, is := before.definition.Source.changesOf(), d.Source.changesOf(); (was == nil) != (is == nil) || was != nil && *was != *is {
		return &InvalidError{d.Name, []*FieldError{{"/source", "cannot be changed, for positions are others there: it is " + before.definition.Source.String() +
			"; make another subscription, or delete this one"}}}
	}
	if o.Declared {
		d.Partitions = before.definition.Partitions
	}
	if err := checkWindows(&before.definition, &d); err != nil {
		return err
	}
	if o.Declared {
		// A program declares what was made otherwise too: from then on it is not pruned.
		if _, err := tx.Exec(ctx, a.records.sql(declareSQL), before.id); err != nil {
			return err
		}
		d.Paused = before.paused
	}
	text, err := stored(d)
	if err != nil {
		return err
	}
	if c.Fields, err = differences(before.definition, d); err != nil || len(c.Fields) == 0 {
		return err
	}
	c.Done = Changed
	if text != before.text {
		c.Revision++
		if _, err := tx.Exec(ctx, a.records.sql(insertRevisionSQL), before.id, c.Revision, text, operations.SanitizeText(o.Actor)); err != nil {
			return err
		}
	}
	if _, err := tx.Exec(ctx, a.records.sql(changeSQL), before.id, text, c.Revision, d.needs(), d.Paused); err != nil {
		return err
	}
	if err := a.describeChange(ctx, tx, before, d, c); err != nil {
		return err
	}
	return a.records.audit(ctx, tx, before, o.Actor, "change", fmt.Sprintf("revision %d: %s", c.Revision, strings.Join(c.pointers(), " ")))
}

func (c *Change) pointers() (all []string) {
	for _, f := range c.Fields {
		all = append(all, f.Pointer)
	}
	return all
}

// describeChange says what comes of a change, and carries out what is of partitions.
func (a *Admin) describeChange(ctx context.Context, tx pgx.Tx, before *found, d Definition, c *Change) error {
	was := before.definition
	if slices.Contains(c.pointers(), "/filter") {
		c.effect("the filter was %s and is %s: each partition goes by it from where it is on; what was left out before stays so",
			orWord(was.Filter, "none"), orWord(d.Filter, "none: all events match"))
	}
	if must(json.Marshal(was.Target)) != must(json.Marshal(d.Target)) {
		c.effect("events go to the new target from where each partition is on; what is under way ends at the old one")
	}
	switch {
	case d.Paused && !was.Paused:
		c.effect("it is paused")
	case !d.Paused && was.Paused:
		c.effect("it is resumed")
	}
	if d.Target.Pull != nil && was.AfterDead == Hold && d.AfterDead != Hold {
		if err := a.records.freeHeld(ctx, tx, before.id); err != nil {
			return err
		}
		c.effect("what is behind dead letters of its key may be had")
	}
	if d.Key != was.Key {
		if err := a.records.changeKey(ctx, tx, before, c); err != nil {
			return err
		}
	}
	if d.Partitions != before.partitions || before.halvingTo != 0 {
		return a.records.repartition(ctx, tx, before, d.Partitions, c)
	}
	return nil
}

func orWord(filter []byte, none string) string {
	if filter == nil {
		return none
	}
	return string(filter)
}

// must returns what cannot fail: JSON of what was made from JSON.
func must(text []byte, err error) string {
	if err != nil {
		panic(err)
	}
	return string(text)
}

// differences returns the members of definitions that differ, by pointer. Objects are compared member by member.
func differences(was, is Definition) ([]FieldChange, error) {
	left, err := was.JSON()
	if err != nil {
		return nil, err
	}
	right, err := is.JSON()
	if err != nil {
		return nil, err
	}
	return differ(nil, "", left, right), nil
}

func differ(all []FieldChange, pointer jsontext.Pointer, was, is jsontext.Value) []FieldChange {
	var left, right map[string]jsontext.Value
	// A filter is compared as a whole, as are values one of which is no object.
	if pointer == "/filter" || was.Kind() != '{' || is.Kind() != '{' || json.Unmarshal(was, &left) != nil || json.Unmarshal(is, &right) != nil {
		if !bytes.Equal(was, is) {
			all = append(all, FieldChange{string(pointer), was, is})
		}
		return all
	}
	var names []string
	for name := range left {
		names = append(names, name)
	}
	for name := range right {
		if _, both := left[name]; !both {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, cmp.Compare)
	for _, name := range names {
		all = differ(all, pointer.AppendToken(name), left[name], right[name])
	}
	return all
}
