package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"time"
)

// Archive is the files of a subscription. Several may use it at once.
type Archive struct{ bucket bucket }

// Close lets the directory go.
func (a *Archive) Close() error { return a.bucket.close() }

// The files beside segments.
const (
	manifestName = "archive.json"
	lastName     = "last.json"
)

// format is the version of what is written.
const format = 1

// manifest is archive.json.
type manifest struct {
	Format       int    `json:"format"`
	Subscription string `json:"subscription"`
	// DeletedBefore: events that were recorded before then may have been removed.
	DeletedBefore time.Time `json:"deleted_before,omitzero"`
}

// last is last.json.
type last struct {
	Segment string `json:"segment"`
}

// readJSON reads a file. One that is not there leaves v as it is.
func (a *Archive) readJSON(ctx context.Context, name string, v any) error {
	text, err := a.bucket.get(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(text, v)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}

func (a *Archive) writeJSON(ctx context.Context, name string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return a.write(ctx, name, append(text, '\n'))
}

// create writes the first archive.json, unless somebody else has.
func (a *Archive) create(ctx context.Context, m manifest) error {
	text, err := json.Marshal(m)
	if err == nil {
		err = a.bucket.create(ctx, append(text, '\n'))
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make the archive: %w", err)
	}
	return nil
}

func (a *Archive) write(ctx context.Context, name string, content []byte) error {
	if err := a.bucket.put(ctx, name, content); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// manifest returns what archive.json says; the zero value: it is not there.
func (a *Archive) manifest(ctx context.Context) (m manifest, err error) {
	if err = a.readJSON(ctx, manifestName, &m); err == nil && m.Format > format {
		err = fmt.Errorf("read %s: it is of format %d, and this program knows up to %d", manifestName, m.Format, format)
	}
	return m, err
}

// listing is what there is.
type listing struct {
	segments []Segment
	// lasts are the names of last.json, others those of what is no part of an archive.
	lasts, others []string
}

func (a *Archive) list(ctx context.Context, dir string) (all listing, err error) {
	for o, err := range a.bucket.list(ctx, dir) {
		if err != nil {
			return all, fmt.Errorf("list the archive: %w", err)
		}
		s, ok := parseKey(o.name)
		switch {
		case ok:
			s.Bytes, s.WrittenAt = o.bytes, o.written.UTC()
			all.segments = append(all.segments, s)
		case path.Base(o.name) == lastName:
			all.lasts = append(all.lasts, o.name)
		case o.name != manifestName:
			all.others = append(all.others, o.name)
		}
	}
	slices.SortFunc(all.segments, byPosition)
	slices.Sort(all.lasts)
	slices.Sort(all.others)
	return all, nil
}

// Segments returns the segments in order of log, incarnation and first position.
func (a *Archive) Segments(ctx context.Context) ([]Segment, error) {
	all, err := a.list(ctx, "")
	return all.segments, err
}
