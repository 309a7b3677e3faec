package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math/rand/v2"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// bucket is where files are, by names with '/'.
type bucket interface {
	// get returns a file; one that is not there is fs.ErrNotExist.
	get(ctx context.Context, name string) ([]byte, error)
	// create makes the place where files are, if it is not there, and puts the manifest into it. If somebody has put one there before, even a moment
	// ago, the error is fs.ErrExist.
	create(ctx context.Context, content []byte) error
	// put writes a file whole or not at all, where there is a manifest. When it returns nil the file is safe.
	put(ctx context.Context, name string, content []byte) error
	// remove removes a file, if it is there.
	remove(ctx context.Context, name string) error
	// list yields the files below a directory, whose name ends in '/', or all of "", in no order.
	list(ctx context.Context, dir string) iter.Seq2[object, error]
	close() error
}

// object is a file as lists have it.
type object struct {
	name    string
	bytes   int64
	written time.Time
}

// directoryBucket is a directory of a disk, which no name leads out of: it is inside of another one, perhaps that itself. It is opened each time:
// it may have been gone before, or another one.
type directoryBucket struct{ above, inside string }

func (b *directoryBucket) open() (*os.Root, error) {
	above, err := os.OpenRoot(b.above)
	if err != nil || b.inside == "." {
		return above, err
	}
	defer above.Close()
	return above.OpenRoot(b.inside) // which no link leads out of
}

func (b *directoryBucket) get(_ context.Context, name string) ([]byte, error) {
	root, err := b.open()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.ReadFile(filepath.FromSlash(name))
}

// unfinished ends the names of files that are being written. Those that a process left behind are no harm.
const unfinished = ".tmp"

func (b *directoryBucket) create(ctx context.Context, content []byte) error {
	// The directory above is never made: it may be on a volume that is not mounted now.
	above, err := os.OpenRoot(b.above)
	if err != nil {
		return err
	}
	defer above.Close()
	if err := above.MkdirAll(b.inside, 0o700); err != nil {
		return err
	}
	if err := syncUp(above, b.inside); err != nil {
		return err
	}
	root, err := above.OpenRoot(b.inside)
	if err != nil {
		return err
	}
	defer root.Close()
	return putIn(ctx, root, manifestName, content, func(from, to string) error {
		err := root.Link(from, to)
		if err != nil && !errors.Is(err, fs.ErrExist) { // the file system has no links: the last that does it at the same instant has it
			return root.Rename(from, to)
		}
		return errors.Join(err, root.Remove(from))
	})
}

func (b *directoryBucket) put(ctx context.Context, name string, content []byte) error {
	root, err := b.open()
	if err == nil {
		defer root.Close()
		_, err = root.Stat(manifestName)
	}
	if err != nil {
		// Below the place where a volume is mounted nobody would find it again.
		return fmt.Errorf("the directory of the archive has no %s any more: is its volume mounted? %w", manifestName, err)
	}
	return putIn(ctx, root, filepath.FromSlash(name), content, root.Rename)
}

// putIn writes a file under another name, from which move gives it its own.
func putIn(ctx context.Context, root *os.Root, name string, content []byte, move func(from, to string) error) error {
	dir := filepath.Dir(name)
	if err := root.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	under := filepath.Join(dir, "."+strconv.FormatUint(rand.Uint64(), 36)+unfinished)
	f, err := root.OpenFile(under, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close(), ctx.Err()); err == nil {
		err = move(under, name)
	}
	if err != nil {
		_ = root.Remove(under)
		return err
	}
	return syncUp(root, dir)
}

// syncUp makes the names in a directory safe, and its own, for it may be new, as those above it.
func syncUp(root *os.Root, dir string) error {
	for ; ; dir = filepath.Dir(dir) {
		d, err := root.Open(dir)
		if err == nil {
			err = errors.Join(d.Sync(), d.Close())
		}
		if err != nil || dir == "." {
			return err
		}
	}
}

func (b *directoryBucket) remove(_ context.Context, name string) error {
	root, err := b.open()
	if err != nil {
		return err
	}
	defer root.Close()
	err = root.Remove(filepath.FromSlash(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (b *directoryBucket) list(ctx context.Context, dir string) iter.Seq2[object, error] {
	return func(yield func(object, error) bool) {
		root, err := b.open()
		if err != nil {
			yield(object{}, err)
			return
		}
		defer root.Close()
		err = fs.WalkDir(root.FS(), path.Clean(strings.TrimSuffix(dir, "/")), func(name string, d fs.DirEntry, err error) error {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil || d.IsDir() || path.Ext(name) == unfinished {
				return err
			}
			info, err := d.Info()
			if err == nil && !yield(object{name, info.Size(), info.ModTime()}, nil) {
				return fs.SkipAll
			}
			return err
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			yield(object{}, err)
		}
	}
}

func (b *directoryBucket) close() error { return nil }

// ErrNoDirectory is returned by OpenIn for a directory that is not below the one for archives.
var ErrNoDirectory = errors.New("the directory is not below the one for archives of this process")

// OpenIn is Open for an address that somebody else has chosen: a directory must be below dir. It need not be there: what is between dir and it is
// made for the first event, dir itself never.
func OpenIn(dir, address string) (*Archive, error) {
	a, err := openIn(dir, address)
	if err != nil {
		return nil, fmt.Errorf("open archive %s: %w", address, err)
	}
	return a, nil
}

func openIn(dir, address string) (*Archive, error) {
	u, err := parse(address)
	if err != nil || u.Scheme != "file" {
		return open(u, err)
	}
	if dir == "" {
		return nil, fmt.Errorf("%w: it has none", ErrNoDirectory)
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	inside, err := filepath.Rel(dir, filepath.FromSlash(u.Path))
	if err != nil || !filepath.IsLocal(inside) {
		return nil, fmt.Errorf("%w, which is %s", ErrNoDirectory, dir)
	}
	b := &directoryBucket{dir, inside}
	root, err := b.open()
	if err == nil {
		err = root.Close()
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return &Archive{b}, nil
}

// Open returns the archive at an address, as delivery.ArchiveTarget.URL has it, or in a directory.
func Open(address string) (*Archive, error) {
	u, err := parse(address)
	a, err := open(u, err)
	if err != nil {
		return nil, fmt.Errorf("open archive: %w", err)
	}
	return a, nil
}

func parse(address string) (*url.URL, error) {
	if !strings.Contains(address, "://") {
		dir, err := filepath.Abs(address)
		return &url.URL{Scheme: "file", Path: filepath.ToSlash(dir)}, err
	}
	return url.Parse(address)
}

func open(u *url.URL, err error) (*Archive, error) {
	var b bucket
	switch {
	case err != nil:
	case u.Scheme == "file":
		dir := filepath.FromSlash(u.Path)
		b = &directoryBucket{dir, "."}
		_, err = os.Stat(dir)
	default:
		err = fmt.Errorf("an archive is a directory, file:///directory, not %s://", u.Scheme)
	}
	if err != nil {
		return nil, err
	}
	return &Archive{b}, nil
}
