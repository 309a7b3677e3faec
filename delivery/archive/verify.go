package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

// Report is what Verify has found.
type Report struct {
	Subscription string `json:"subscription"`
	Segments     int    `json:"segments"`
	// Events counts those of all segments: one that is in two is counted twice.
	Events int       `json:"events"`
	Bytes  int64     `json:"bytes"`
	From   time.Time `json:"from,omitzero"`
	To     time.Time `json:"to,omitzero"`
	// DeletedBefore: events recorded before then may have been removed for their age.
	DeletedBefore time.Time `json:"deleted_before,omitzero"`
	// Damages are what is wrong.
	Damages []DamageError `json:"damages,omitempty"`
	// Others are files that are none of an archive's; they are let be.
	Others []string `json:"others,omitempty"`
}

// Verify reads the whole archive and says all that is wrong with it: segments that have changed, that cannot be read, or that are missing. What it
// cannot see is that a partition is missing whole, with all its files. The error is what kept it from looking.
//
// Progress, if not nil, is told of each segment.
func (a *Archive) Verify(ctx context.Context, progress func(done, of int)) (r Report, err error) {
	m, err := a.manifest(ctx)
	if err != nil {
		return r, err
	}
	// What is written meanwhile is not missing: the names that others are looked up among are read last.
	before, err := a.list(ctx, "")
	if err != nil {
		return r, err
	}
	r = Report{Subscription: m.Subscription, DeletedBefore: m.DeletedBefore, Others: before.others}
	wanted := make(map[string]string) // by key: who names it
	for i, s := range before.segments {
		h, err := a.check(ctx, s)
		var damage *DamageError
		switch {
		case errors.As(err, &damage):
			r.Damages = append(r.Damages, *damage)
		case errors.Is(err, fs.ErrNotExist):
			continue // it was too old meanwhile, or somebody misses it
		case err != nil:
			return r, err
		case h.Previous != "":
			wanted[path.Dir(s.Key)+"/"+h.Previous] = s.Key
		}
		r.Segments, r.Events, r.Bytes = r.Segments+1, r.Events+s.Events, r.Bytes+s.Bytes
		if r.From.IsZero() || s.From.Before(r.From) {
			r.From = s.From
		}
		if s.To.After(r.To) {
			r.To = s.To
		}
		if progress != nil {
			progress(i+1, len(before.segments))
		}
	}
	return r, a.checkChains(ctx, &r, before, wanted)
}

// check reads a segment.
func (a *Archive) check(ctx context.Context, s Segment) (header, error) {
	content, err := a.bucket.get(ctx, s.Key)
	if err != nil {
		return header{}, fmt.Errorf("read %s: %w", s.Key, err)
	}
	h, lines, err := s.decode(content)
	var at int64
	for _, line := range lines {
		e, err := s.parse(line)
		if err == nil && e.Position <= at {
			err = s.damaged(Unreadable, "the event at position %d is behind that at %d", e.Position, at)
		}
		if err != nil {
			return h, err
		}
		at = e.Position
	}
	return h, err
}

// checkChains reports the segments that others name, or last.json, and that are not there.
func (a *Archive) checkChains(ctx context.Context, r *Report, before listing, wanted map[string]string) error {
	lasts := make(map[string]bool)
	for _, name := range before.lasts {
		dir := path.Dir(name)
		lasts[dir] = true
		var l last
		if err := a.readJSON(ctx, name, &l); err != nil || l.Segment == "" {
			r.Damages = append(r.Damages, DamageError{name, Unreadable, "it names no segment"})
			continue
		}
		wanted[dir+"/"+l.Segment] = name
	}
	now, err := a.list(ctx, "")
	if err != nil {
		return err
	}
	m, err := a.manifest(ctx)
	if err != nil {
		return err
	}
	there := make(map[string]bool)
	for _, s := range now.segments {
		there[s.Key] = true
	}
	for _, s := range before.segments {
		if dir := path.Dir(s.Key); !lasts[dir] {
			lasts[dir] = true
			r.Damages = append(r.Damages, DamageError{dir + "/" + lastName, Missing, "nothing says which segment was written last"})
		}
	}
	if m.Format == 0 && len(now.segments) > 0 {
		r.Damages = append(r.Damages, DamageError{manifestName, Missing, "nothing says whose archive it is, and what was removed for its age"})
	}
	for key, by := range wanted {
		s, ok := parseKey(key)
		switch {
		case there[key], ok && s.To.Before(m.DeletedBefore):
		case !ok:
			r.Damages = append(r.Damages, DamageError{by, Unreadable, fmt.Sprintf("it names %q, which is no segment", path.Base(key))})
		default:
			r.Damages = append(r.Damages, DamageError{key, Missing, "it is named by " + path.Base(by)})
		}
	}
	slices.SortFunc(r.Damages, func(a, b DamageError) int { return strings.Compare(a.Key, b.Key) })
	return nil
}
