package archive

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/background"
	"github.com/57528e99/recount/internal/failpoint"
)

// Config says what a Target works with.
type Config struct {
	// Log is the log that the events are of. Required.
	Log eventstore.Reader
	// Dir is below which archives in directories may be. Default: none may be.
	Dir string
	// Now is the clock by which events get old. Default: time.Now.
	Now func() time.Time
}

// Target writes the events of each attempt into a segment.
type Target struct {
	config       Config
	archive      *Archive
	subscription string
	retention    time.Duration

	cleaning sync.WaitGroup
	stop     context.CancelFunc

	mu sync.Mutex
	// chains are by directory.
	chains map[string]*chain
	// claimed: archive.json says whose it is.
	claimed bool
}

// chain is a partition whose segments follow each other.
type chain struct {
	mu sync.Mutex
	// epoch is that in which it was looked at: another owner may have written to it before. Previous is the name of the segment that was
	// written last, after what headers say.
	epoch    int64
	known    bool
	previous string
	after    int64
}

var _ delivery.Target = (*Target)(nil)

// New returns the target of a subscription that goes to delivery.ArchiveTarget. It removes what is too old now and then, until Close.
func New(d delivery.Definition, c Config) (*Target, error) {
	d, err := d.Checked()
	if err != nil {
		return nil, err
	}
	a, err := OpenIn(c.Dir, d.Target.Archive.URL)
	if err != nil {
		return nil, err
	}
	return newTarget(d, c, a), nil
}

func newTarget(d delivery.Definition, c Config, a *Archive) *Target {
	if c.Now == nil {
		c.Now = time.Now
	}
	ctx, stop := context.WithCancel(context.Background())
	t := &Target{config: c, archive: a, subscription: d.Name, retention: time.Duration(d.Target.Archive.Retention), stop: stop, chains: make(map[string]*chain)}
	t.cleaning.Go(func() { t.clean(ctx) })
	return t
}

// Close ends what goes on in the background.
func (t *Target) Close() {
	t.stop()
	t.cleaning.Wait()
	_ = t.archive.Close() // everything that was written is closed
}

// pause is how long nothing is written after what was to be written could not be. The events did not fail: nothing becomes of them
// meanwhile.
const pause = 5 * time.Second

// Deliver implements delivery.Target.
func (t *Target) Deliver(ctx context.Context, d *delivery.Delivery) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if d.Events[0].Position == 0 { // it was made up to try the target
		return nil
	}
	if err := t.keep(ctx, d); err != nil {
		if ctx.Err() != nil {
			return err
		}
		return delivery.Throttled(err, pause)
	}
	return nil
}

// keep writes a segment.
func (t *Target) keep(ctx context.Context, d *delivery.Delivery) error {
	if err := t.claim(ctx); err != nil {
		return err
	}
	dir := directory(d.Log, d.Partition)
	c := t.chain(dir)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := t.resume(ctx, c, dir, d); err != nil {
		return err
	}
	s, content := encode(header{Format: format, Subscription: t.subscription, Log: d.Log.Log, Incarnation: d.Log.Incarnation, After: c.after,
		Partition: d.Partition, Previous: c.previous}, d.Events)
	if err := t.archive.write(ctx, s.Key, content); err != nil {
		c.known = false // the directory may have been gone as well when it was looked at
		return err
	}
	failpoint.HitIn(ctx, failpoint.ArchiveWritten)
	if err := t.archive.writeJSON(ctx, dir+lastName, last{s.base()}); err != nil {
		return err
	}
	c.previous = s.base()
	return nil
}

func (t *Target) chain(dir string) *chain {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.chains[dir]
	if c == nil {
		c = &chain{}
		t.chains[dir] = c
	}
	return c
}

// resume finds out where a chain goes on.
func (t *Target) resume(ctx context.Context, c *chain, dir string, d *delivery.Delivery) (err error) {
	if c.known && c.epoch == d.Epoch {
		return nil
	}
	if c.after, err = lastCommon(ctx, t.config.Log, d.Log); err != nil {
		return err
	}
	var was last
	if err := t.archive.readJSON(ctx, dir+lastName, &was); err != nil {
		return err
	}
	c.previous, c.known, c.epoch = was.Segment, true, d.Epoch
	return nil
}

// lastCommon returns the last position that an incarnation of a log has in common with all those before.
func lastCommon(ctx context.Context, log eventstore.Reader, at eventstore.Token) (int64, error) {
	if at.Incarnation <= 1 {
		return 0, nil
	}
	before := eventstore.Token{Log: at.Log, Incarnation: at.Incarnation - 1, Position: math.MaxInt64}
	for _, err := range log.ReadAll(ctx, eventstore.ReadOptions{After: before, Limit: 1}) {
		var changed *eventstore.LogChangedError
		if errors.As(err, &changed) && changed.LastCommon >= 0 {
			return changed.LastCommon, nil
		}
		if err != nil {
			return 0, fmt.Errorf("find out where incarnation %d of the log begins: %w", at.Incarnation, err)
		}
	}
	return 0, fmt.Errorf("the log does not know where its incarnation %d begins", at.Incarnation)
}

// claim says whose archive it is. It must be nobody else's.
func (t *Target) claim(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.claimed {
		return nil
	}
	m, err := t.archive.manifest(ctx)
	if err == nil && m.Format == 0 {
		if err = t.archive.create(ctx, manifest{Format: format, Subscription: t.subscription}); err == nil {
			m, err = t.archive.manifest(ctx) // another one may have been faster
		}
	}
	if err == nil && m.Subscription != t.subscription {
		err = fmt.Errorf("the archive is that of subscription %s: give this one another url", m.Subscription)
	}
	t.claimed = err == nil
	return err
}

// cleanInterval is how often one looks for what is too old, and by what times are rounded down: several processes at once take the same to be.
const cleanInterval = time.Hour

func (t *Target) clean(ctx context.Context) {
	loop := background.Loop{Idle: cleanInterval, Failed: func(error, time.Duration) {}}
	_ = loop.Run(ctx, func(ctx context.Context) (background.Next, error) {
		return background.Idle, t.expire(ctx)
	})
}

// expire removes what is too old, if the archive is its own: Deliver may not have claimed it yet, or be refused.
func (t *Target) expire(ctx context.Context) error {
	_, err := t.archive.Expire(ctx, t.subscription, t.config.Now().Add(-t.retention))
	return err
}

// Expire removes the segments whose events are all older than a time, which is rounded down to the hour, and returns them: none, if the archive is
// not that of the subscription.
func (a *Archive) Expire(ctx context.Context, subscription string, before time.Time) ([]Segment, error) {
	before = before.UTC().Truncate(cleanInterval)
	m, err := a.manifest(ctx)
	if err != nil || m.Format == 0 || m.Subscription != subscription {
		return nil, err
	}
	all, err := a.list(ctx, "")
	if err != nil {
		return nil, err
	}
	var gone []Segment
	for _, s := range all.segments {
		if !s.To.Before(before) {
			continue
		}
		// Others must not take it for lost.
		if m.DeletedBefore.Before(before) {
			m.DeletedBefore = before
			if err := a.writeJSON(ctx, manifestName, m); err != nil {
				return gone, err
			}
		}
		if err := a.bucket.remove(ctx, s.Key); err != nil {
			return gone, fmt.Errorf("remove %s: %w", s.Key, err)
		}
		gone = append(gone, s)
	}
	return gone, nil
}
