package archive

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/57528e99/recount/delivery"
)

// TestDamageIsFound, of each kind, and what is none is not taken for any.
func TestDamageIsFound(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, a *Archive, dir string, files []string)
		want   string
	}{
		{"none", func(*testing.T, *Archive, string, []string) {}, ""},
		{"the first is removed", func(t *testing.T, _ *Archive, _ string, files []string) { try(t, os.Remove(files[0])) }, "missing 0"},
		{"one in the middle is removed", func(t *testing.T, _ *Archive, _ string, files []string) { try(t, os.Remove(files[1])) }, "missing 1"},
		{"the last is removed", func(t *testing.T, _ *Archive, _ string, files []string) { try(t, os.Remove(files[2])) }, "missing 2"},
		{"a byte is another", func(t *testing.T, _ *Archive, _ string, files []string) {
			content, err := os.ReadFile(files[1])
			content[len(content)/2] ^= 1
			try(t, errors.Join(err, os.WriteFile(files[1], content, 0o600)))
		}, "changed 1"},
		{"one is cut off", func(t *testing.T, _ *Archive, _ string, files []string) { try(t, os.Truncate(files[2], 40)) }, "changed 2"},
		{"one is that of another partition", func(t *testing.T, _ *Archive, _ string, files []string) {
			content, err := os.ReadFile(files[0])
			other := filepath.Join(filepath.Dir(filepath.Dir(files[0])), "p001", filepath.Base(files[0]))
			try(t, errors.Join(err, os.Mkdir(filepath.Dir(other), 0o700), os.WriteFile(other, content, 0o600)))
		}, "misnamed 0 missing last.json"},
		{"nothing says which is the last", func(t *testing.T, _ *Archive, _ string, files []string) {
			try(t, os.Remove(filepath.Join(filepath.Dir(files[0]), lastName)))
		}, "missing last.json"},
		{"nothing says whose it is", func(t *testing.T, _ *Archive, dir string, _ []string) {
			try(t, os.Remove(filepath.Join(dir, manifestName)))
		}, "missing archive.json"},
		{"one was too old", func(t *testing.T, a *Archive, _ string, _ []string) {
			gone, err := a.Expire(t.Context(), "orders", began.Add(2*time.Hour))
			if try(t, err); len(gone) != 1 || gone[0].Last != 3600 {
				t.Errorf("%+v were removed, want the first", gone)
			}
		}, ""},
		{"a file of somebody else", func(t *testing.T, _ *Archive, dir string, _ []string) {
			try(t, os.WriteFile(filepath.Join(dir, "notes.txt"), nil, 0o600))
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			a, err := OpenIn(dir, "file://"+dir+"/orders")
			if err != nil {
				t.Fatal(err)
			}
			target := newTarget(definition(""), Config{Log: log{}, Now: func() time.Time { return began }}, a)
			t.Cleanup(target.Close)
			// 3,599 s later it is another hour, or the next.
			for _, last := range []int64{3600, 7300, 7400} {
				deliver(t, target, at, 0, events(at, last-2, last))
			}
			all, err := a.Segments(t.Context())
			if err != nil || len(all) != 3 {
				t.Fatalf("segments %+v, %v", all, err)
			}
			var files []string
			var pairs []string
			for i, s := range all {
				files = append(files, filepath.Join(dir, "orders", s.Key))
				pairs = append(pairs, s.base(), fmt.Sprint(i))
			}
			names := strings.NewReplacer(pairs...)
			c.damage(t, a, filepath.Join(dir, "orders"), files)
			r, err := a.Verify(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range r.Damages {
				got = append(got, string(d.Kind), names.Replace(filepath.Base(d.Key)))
			}
			if strings.Join(got, " ") != c.want {
				fmt.Printf("caught\t%s\t0\tan archive of which a file is missing or another is not whole\n", t.Name())
				t.Errorf("damages %v (%+v), want %q", got, r.Damages, c.want)
			}
		})
	}
}

func try(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestADirectoryIsGone for a while: nothing is parked, and nothing is lost.
func TestADirectoryIsGone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	target, err := New(definition("file://"+dir+"/orders"), Config{Log: log{}, Dir: dir, Now: func() time.Time { return began }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(target.Close)
	deliver(t, target, at, 0, events(at, 1, 2))
	where, away := filepath.Join(dir, "orders"), filepath.Join(t.TempDir(), "away")
	try(t, os.Rename(where, away))
	fails := func(epoch int64) {
		err := target.Deliver(t.Context(), &delivery.Delivery{Subscription: "orders", Events: events(at, 3, 4), Log: at, Epoch: epoch})
		if outcome, after := delivery.OutcomeOf(err); outcome != delivery.ThrottledOutcome || after <= 0 {
			t.Errorf("the error means %s for %s: %v", outcome, after, err)
		}
	}
	fails(8)
	if _, err := os.Stat(where); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory was made again: %v", err)
	}
	try(t, os.Mkdir(where, 0o700)) // where a volume is mounted otherwise
	fails(7)
	try(t, os.Remove(where)) // which succeeds if it is empty
	try(t, os.Rename(away, where))
	deliver(t, target, at, 0, events(at, 3, 4))
	if got := positions(readAll(t, target.archive, Range{})); !slices.Equal(got, []int64{1, 2, 3, 4}) {
		t.Errorf("positions %d", got)
	}
	if all, err := target.archive.Segments(t.Context()); err != nil || len(all) != 2 {
		t.Errorf("segments %+v, %v", all, err)
	} else if h, err := target.archive.check(t.Context(), all[1]); err != nil || h.Previous != all[0].base() {
		t.Errorf("the second segment is behind %q, %v", h.Previous, err)
	}
	gone := filepath.Join(dir, "gone")
	late, err := New(definition("file://"+gone+"/orders"), Config{Log: log{}, Dir: gone})
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close()
	target = late
	fails(7)
	if _, err := os.Stat(gone); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory for archives was made: %v", err)
	}
}

func TestAnArchiveStaysInItsDirectory(t *testing.T) {
	t.Parallel()
	dir, other := t.TempDir(), t.TempDir()
	try(t, os.Symlink(other, filepath.Join(dir, "link")))
	for _, address := range []string{"file://" + other, "file://" + dir + "/../x", "file://" + dir + "/link/x", "s3://bucket/orders"} {
		if a, err := OpenIn(dir, address); err == nil {
			a.Close()
			t.Errorf("%s was opened below %s", address, dir)
		}
	}
	if _, err := OpenIn("", "file://"+dir); !errors.Is(err, ErrNoDirectory) {
		t.Errorf("without a directory for archives: %v", err)
	}
	a, err := OpenIn(dir, "file://"+dir+"/orders")
	try(t, err)
	target, other2 := newTarget(definition(""), Config{Log: log{}, Now: func() time.Time { return began }}, a), definition("")
	t.Cleanup(target.Close)
	deliver(t, target, at, 0, events(at, 1, 1))
	other2.Name = "payments"
	later := Config{Log: log{}, Now: func() time.Time { return began.Add(48 * time.Hour) }}
	stranger := newTarget(other2, later, a)
	defer stranger.Close()
	if err := stranger.Deliver(t.Context(), &delivery.Delivery{Events: events(at, 2, 2), Log: at}); err == nil || !strings.Contains(err.Error(), "subscription orders") {
		t.Errorf("the archive of another was written to: %v", err)
	}
	try(t, stranger.expire(t.Context()))
	if all, err := a.Segments(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("the archive of another has %d segments, want its old one: %v", len(all), err)
	}
	owner := newTarget(definition(""), later, a)
	defer owner.Close()
	try(t, owner.expire(t.Context()))
	if all, err := a.Segments(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("its own old segments are there: %d, %v", len(all), err)
	}
}

// slow is a bucket of somebody who makes it later than he has seen that it is not there.
type slow struct {
	bucket
	meanwhile func()
}

func (b slow) create(ctx context.Context, content []byte) error {
	b.meanwhile()
	return b.bucket.create(ctx, content)
}

// TestADirectoryIsOfOneSubscription, also if two find it empty at the same instant: the other writes nothing there.
func TestADirectoryIsOfOneSubscription(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	to := func(name string, b bucket) error {
		d := definition("file://" + dir + "/orders")
		d.Name = name
		target := newTarget(d, Config{Log: log{}, Now: func() time.Time { return began }}, &Archive{b})
		t.Cleanup(target.Close)
		return target.Deliver(t.Context(), &delivery.Delivery{Subscription: name, Events: events(at, 1, 2), Log: at, Epoch: 1})
	}
	place := &directoryBucket{dir, "orders"}
	err := to("orders", slow{place, func() {
		if err := to("other", place); err != nil {
			t.Error(err)
		}
	}})
	if err == nil || !strings.Contains(err.Error(), "the archive is that of subscription other") {
		t.Errorf("the one that was slower: %v", err)
	}
	if all, err := (&Archive{place}).list(t.Context(), ""); err != nil || len(all.segments) != 1 || len(all.others) != 0 {
		t.Errorf("there are %+v, %v", all, err)
	}
}
