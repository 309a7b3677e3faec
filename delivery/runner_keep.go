package delivery

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/57528e99/recount/internal/background"
	"github.com/57528e99/recount/internal/failpoint"
)

const (
	renewInterval = time.Second
	// lookInterval is how often all subscriptions are looked at though nobody said that they have changed.
	lookInterval = 10 * time.Second
	// keepTimeout bounds a statement about members and partitions.
	keepTimeout = 3 * time.Second
	// takeAtOnce bounds how many partitions are taken in a statement, with all rows that they have: firstTake at first, then
	// twice as many each time, or half if it took longer than takeSlow. Renewals go on meanwhile, and takeTimeout bounds it.
	takeAtOnce  = 64
	firstTake   = 4
	takeSlow    = time.Second
	takeTimeout = 30 * time.Second
	// wantedAtOnce is how many rows of a partition are looked at about which operators want something.
	wantedAtOnce = 1000
)

// keeper keeps the process a member and has it own what is its own. It is the only one that takes partitions,
// and gives them back.
type keeper struct {
	*Runner
	changes int64
	// looked is when the subscriptions are taken to have been looked at last, zero if they are to be at once. All is what they
	// were at asOf.
	looked    time.Time
	renewedAt time.Time
	asOf      time.Time
	all       []subscription
	// missing: there is what is to be taken or let go. Unsettled: there may be more to do, though nobody says so.
	missing, unsettled bool
	// atOnce is how many partitions are taken at once; slow counts how often that took long.
	atOnce, slow int
	// lingering are partitions that were lost while attempts of theirs were in flight.
	lingering []*partition
	// retired are subscriptions of which nothing is here any more, and whose targets are not closed yet.
	retired []*running
	// unmade are subscriptions whose target could not be made, aside those that this process leaves to others, by id.
	unmade map[int64]unmade
	aside  map[int64]aside
}

// keep goes on until soft is done, then gives all back. What it returns closes targets, once all attempts have ended.
func (r *Runner) keep(soft, hard context.Context) (closeTargets func()) {
	k := &keeper{Runner: r, unmade: make(map[int64]unmade), aside: make(map[int64]aside), atOnce: firstTake}
	defer r.hear()()
	loop := background.Loop{
		Idle: renewInterval, Wake: r.wake,
		Failed: func(err error, pause time.Duration) {
			r.config.Logger.Warn().Err(err).Dur("pause", pause).Msg("keeping the partitions was interrupted")
		},
		Backoff: background.Backoff{Longest: renewInterval},
	}
	_ = loop.Run(soft, func(context.Context) (background.Next, error) { return background.Idle, k.step(hard) })
	k.end(hard)
	return func() {
		for _, s := range k.retired {
			s.closeTarget()
		}
	}
}

// look lets the keeper look at once.
func (r *Runner) look() {
	r.asked.Store(true)
	background.Wake(r.wake)
}

// hear lets the keeper look when the database says that subscriptions have changed, where the store hears of it.
func (r *Runner) hear() (stop func()) {
	store, ok := r.config.Store.(interface {
		OnLeaseReleased(told func(of string)) (stop func())
	})
	if !ok {
		return func() {}
	}
	return store.OnLeaseReleased(func(of string) {
		if of == changed || of == "" {
			r.heard.Store(true)
			r.look()
		}
	})
}

// step does what there is to do now.
func (k *keeper) step(ctx context.Context) error {
	short, cancel := context.WithTimeout(ctx, keepTimeout)
	defer cancel()
	if err := k.stay(short); err != nil {
		return err
	}
	if k.isQuiet(time.Now()) {
		return nil
	}
	k.unsettled = true
	if err := k.whileRenewing(ctx, k.settle); err != nil {
		return err
	}
	k.unsettled = !k.isSettled()
	return nil
}

// settle lets the process have what is its own, and no more.
func (k *keeper) settle(ctx context.Context) error {
	if err := k.tend(ctx); err != nil {
		return err
	}
	return k.take(ctx)
}

// tend does what there is to do about partitions that the process has.
func (k *keeper) tend(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, keepTimeout)
	defer cancel()
	k.halts(ctx)
	k.stuck()
	if err := k.see(ctx); err != nil {
		return err
	}
	k.plan()
	if err := k.giveBackLeft(ctx); err != nil {
		return err
	}
	return k.halve(ctx)
}

// whileRenewing calls f and renews the membership meanwhile, for that may take long. It ends the context of f once others may have
// taken the process for dead.
func (k *keeper) whileRenewing(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var renewing sync.WaitGroup
	defer renewing.Wait()
	defer cancel()
	m := k.member
	renewing.Go(func() {
		for background.Sleep(ctx, renewInterval) {
			begun := time.Now()
			short, done := context.WithTimeout(ctx, keepTimeout)
			_, _, err := k.records.renew(short, m, k.feed.reads())
			done()
			switch {
			case err == nil:
				k.extend(begun)
			case k.isOver(err):
				cancel()
				return
			}
		}
	})
	return f(ctx)
}

// extend notes a renewal that began at a time.
func (k *keeper) extend(begun time.Time) {
	before := k.deadline.Load()
	k.renewed(begun)
	if int64(time.Since(k.Runner.begun)) >= before {
		// What was due since then was not begun.
		k.pumpEverything()
	}
}

// isOver reports whether others may have the partitions by now, when a renewal has failed.
func (k *keeper) isOver(err error) bool {
	return errors.Is(err, errLost) || time.Since(k.begun) > time.Duration(k.deadline.Load())+time.Second
}

// halve takes subscriptions that are to have fewer partitions a step further: partitions read no further and say how far they
// have read; then they read up to the barrier. The owner of the first partition sees to the rest.
func (k *keeper) halve(ctx context.Context) error {
	members := k.coreMembers()
	for i := range k.all {
		now := &k.all[i]
		if now.HalvingTo == 0 {
			continue
		}
		var said []told
		var say []*partition
		if s := k.running[now.ID]; s != nil {
			for _, p := range s.all() {
				if p.readUpTo(now.Barrier) {
					said, say = append(said, told{owned: p.owned, ReadTo: p.readTo}), append(say, p)
				}
			}
		}
		if len(said) > 0 {
			if err := k.records.tell(ctx, said); err != nil {
				return err
			}
			for _, p := range say {
				p.saidReadTo = true
			}
		}
		if k.isOwn(members, now, 0) {
			if err := k.records.halve(ctx, now.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// readUpTo lets a partition read up to a barrier; 0: no further than it has, which it is to say if it reports true: not before it has
// read something, for 0 says nothing. What else is of the keeper's, and needs no lock.
func (p *partition) readUpTo(barrier int64) (say bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.readTo
	switch {
	case barrier > 0:
		p.readTo = barrier
	case p.readTo == 0:
		p.readTo = p.core.Read()
	}
	if p.readTo != before {
		p.core.ReadTo(p.readTo)
		p.queueMove()
		p.of.feed.stir()
	}
	return barrier == 0 && p.readTo > 0 && !p.saidReadTo
}

// stay joins, or renews the membership if it is time.
func (k *keeper) stay(ctx context.Context) error {
	begun := time.Now()
	if k.member.ID == 0 {
		m, err := k.records.join(ctx, k.process, k.canRun())
		if err != nil {
			return err
		}
		k.set(m, nil)
		k.changes, k.looked = -1, time.Time{}
		k.renewed(begun)
		k.config.Logger.Info().Int64("member", m.ID).Msg("this process delivers")
	}
	if begun.Sub(k.renewedAt) < renewInterval/2 && !k.heard.Swap(false) {
		return nil
	}
	changes, alive, err := k.records.renew(ctx, k.member, k.feed.reads())
	switch {
	case err != nil && k.isOver(err):
		k.loseAll()
		return err
	case err != nil:
		return err
	}
	k.extend(begun)
	k.renewedAt = begun
	if changes != k.changes || !slices.EqualFunc(alive, k.alive, sameMember) {
		k.looked = time.Time{}
	}
	k.set(k.member, alive)
	return k.tellAside(ctx, begun)
}

// set sets who this process is, and who delivers.
func (k *keeper) set(m member, alive []member) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.member, k.Runner.alive = m, alive
	maps.DeleteFunc(k.alone, func(subscription int64, needs string) bool { return k.othersCanRun(subscription, needs) })
}

func sameMember(a, b member) bool { return a.ID == b.ID && slices.Equal(a.Aside, b.Aside) }

// see looks at all subscriptions if they may have changed.
func (k *keeper) see(ctx context.Context) error {
	if time.Since(k.looked) < lookInterval {
		return nil
	}
	at, err := k.config.Store.Head(ctx)
	if err != nil {
		return err
	}
	now := time.Now()
	changes, all, err := k.records.look(ctx)
	if err != nil {
		return err
	}
	if before := k.log.Load(); before != nil && !before.SameIncarnation(at) {
		// The database gave all partitions to nobody when it was adopted.
		for _, s := range k.allRunning() {
			for _, p := range s.all() {
				k.lose(p)
			}
		}
		k.Runner.feed.forget()
		for _, f := range k.Runner.changes {
			f.forget()
		}
	}
	k.log.Store(&at)
	if changes != k.changes {
		background.Wake(k.replays)
	}
	k.changes, k.all, k.looked, k.asOf = changes, all, now, now
	k.forgetAside()
	return k.fulfil(ctx)
}

// end gives everything back.
func (k *keeper) end(hard context.Context) {
	for _, s := range k.allRunning() {
		for _, p := range s.all() {
			p.leave("this process stops")
		}
	}
	loop := background.Loop{Idle: renewInterval, Wake: k.wake, Failed: func(error, time.Duration) {}, Backoff: background.Backoff{Longest: renewInterval / 4}}
	_ = loop.Run(hard, func(ctx context.Context) (background.Next, error) {
		for _, s := range k.allRunning() {
			for _, p := range s.all() {
				if p.wasLost() { // such as when its subscription was deleted meanwhile: nothing of it can be moved
					k.lose(p)
				}
			}
		}
		if len(k.allRunning()) == 0 {
			return background.Done, nil
		}
		ctx, cancel := context.WithTimeout(ctx, keepTimeout)
		defer cancel()
		if err := k.stay(ctx); err != nil {
			if !k.mayBegin(time.Now()) { // others have them, and the database does not answer
				return background.Done, nil
			}
			return background.Idle, err
		}
		return background.Idle, k.giveBackLeft(ctx)
	})
	for _, s := range k.allRunning() {
		for _, p := range s.all() {
			k.lose(p)
		}
	}
	if k.member.ID != 0 {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(hard), keepTimeout)
		defer cancel()
		failpoint.HitIn(ctx, failpoint.DeliverLeaving)
		if err := k.records.leave(ctx, k.member); err != nil {
			k.config.Logger.Warn().Err(err).Msg("others will notice later that this process has stopped")
		}
	}
}

func (r *Runner) allRunning() []*running {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]*running, 0, len(r.running))
	for _, s := range r.running {
		all = append(all, s)
	}
	return all
}

func (k *keeper) pumpEverything() {
	for _, s := range k.allRunning() {
		for _, p := range s.all() {
			p.pump(false)
		}
	}
}
