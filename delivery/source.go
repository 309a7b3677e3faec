package delivery

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/projections"
)

// ChangesSource is what changes in the rows of a projection as a source. Positions are numbers of the feed then: of the start,
// of cursors, and of what is parked.
type ChangesSource struct {
	// Projection is the one whose rows change. It must keep its changes, see projections.Table. Required.
	Projection string `json:"projection"`
	// Images says what events have of the row, no more than the projection keeps. Default: "new_and_old".
	Images projections.Images `json:"images"`
}

func (c *checker) source(d *Definition) {
	s := &d.Source
	switch {
	case s.Log != nil && s.Changes != nil:
		c.wrong("/source", "must be %s", sourceForms)
		return
	case s.Changes == nil:
		s.Log = &LogSource{}
		return
	}
	s.Changes = new(*s.Changes)
	c.required("/source/changes/projection", s.Changes.Projection, "the projection whose rows change")
	choice(c, "/source/changes/images", &s.Changes.Images, projections.NewAndOld, projections.New, projections.Old, projections.KeysOnly)
	if d.Target.Append != nil {
		c.wrong("/target", `must not be "append": a change has no metadata that would end what changes the rows again without end`)
	}
}

// changesOf returns the projection whose changes it is; nil: it is the log.
func (s Source) changesOf() *string {
	if s.Changes == nil {
		return nil
	}
	return &s.Changes.Projection
}

// String names the source in a sentence.
func (s Source) String() string {
	if s.Changes == nil {
		return "the log"
	}
	return "the change feed of " + s.Changes.Projection
}

// reader returns what has the events of the source.
func (s Source) reader(pool *pgxpool.Pool, schema string, log eventstore.Reader) eventstore.Reader {
	if s.Changes == nil {
		return log
	}
	return projections.NewChangeLog(pool, schema, log, s.Changes.Projection, s.Changes.Images)
}

// of returns a, with the source of a subscription as its log.
func (a *Admin) of(d *Definition) *Admin {
	b := *a
	b.log = d.Source.reader(a.records.pool, a.records.schema, a.log)
	return &b
}

// checkSource returns an *InvalidError for changes that the projection does not keep.
func (a *Admin) checkSource(ctx context.Context, d *Definition) error {
	s := d.Source.Changes
	if s == nil {
		return nil
	}
	kept, err := projections.NewChangeLog(a.records.pool, a.records.schema, a.log, s.Projection, s.Images).Kept(ctx)
	c := &checker{}
	switch {
	case errors.Is(err, projections.ErrNotFound):
		c.wrong("/source/changes/projection", "is not there: run the program that has it first")
	case err != nil:
		return err
	case kept == "":
		c.wrong("/source/changes/projection", "keeps no changes: set Changes in its projections.Table, and run the program")
	case !kept.Cover(s.Images):
		var covered []string
		for _, images := range projections.AllImages() {
			if kept.Cover(images) {
				covered = append(covered, fmt.Sprintf("%q", images))
			}
		}
		c.wrong("/source/changes/images", "must be %s: the projection keeps no more; what it keeps is Changes in its projections.Table", list(covered))
	}
	if len(c.mistakes) > 0 {
		return &InvalidError{d.Name, c.mistakes}
	}
	return nil
}

// follow reads the events of a feed, until the runner has ended.
func (r *Runner) follow(f *feed) {
	r.readers.Go(func() { f.followHead(r.work) })
	for reader := range catchUps {
		r.readers.Go(func() { f.catchUp(r.work, int32(1+reader)) })
	}
}

// feedOf returns the feed that reads a source. Only the keeper asks.
func (r *Runner) feedOf(s Source) *feed {
	if s.Changes == nil {
		return r.feed
	}
	f := r.changes[*s.Changes]
	if f == nil {
		f = newFeed(s.reader(r.config.Pool, r.config.Schema, r.config.Store), r.config.Logger)
		r.changes[*s.Changes] = f
		r.follow(f)
	}
	return f
}
