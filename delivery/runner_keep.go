package delivery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/57528e99/recount/delivery/internal/core"
	"github.com/57528e99/recount/internal/background"
	"github.com/57528e99/recount/internal/failpoint"
	"github.com/57528e99/recount/operations"
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

// loseAll forgets everything: the process is none of those that deliver any more.
func (k *keeper) loseAll() {
	k.deadline.Store(0)
	for _, s := range k.allRunning() {
		for _, p := range s.all() {
			k.lose(p)
		}
	}
	k.config.Logger.Warn().Int64("member", k.member.ID).Msg("this process was taken for dead: it begins again")
	k.set(member{}, nil)
}

// lose forgets a partition that is another's.
func (k *keeper) lose(p *partition) {
	p.drop()
	k.closeIfIdle(p.of)
	if !p.isOver() {
		k.lingering = append(k.lingering, p)
	}
}

// lost lets the keeper forget a partition whose move was refused.
func (r *Runner) lost(p *partition) {
	p.mu.Lock()
	p.isLost = true
	p.mu.Unlock()
	r.heard.Store(true)
	r.look()
}

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

// plan lets go what is not its own, and what is to be delivered in another way.
func (k *keeper) plan() {
	byID := make(map[int64]*subscription, len(k.all))
	for i := range k.all {
		byID[k.all[i].ID] = &k.all[i]
	}
	members := k.coreMembers()
	for _, s := range k.allRunning() {
		now := byID[s.id]
		for _, p := range s.all() {
			switch {
			case p.wasLost(), k.isTaken(now, p):
				k.lose(p)
				k.looked = time.Time{}
				k.look()
			case now == nil:
				p.leave("it was deleted")
			case !now.Running:
				p.leave("it is paused or has stopped")
			case now.Revision != s.revision:
				p.leave("it was changed")
			case len(now.Members) != len(s.source.queues):
				p.leave("it has other partitions")
			case !k.isOwn(members, now, p.Partition):
				p.leave("another process is to have it")
			}
		}
	}
	k.lingering = slices.DeleteFunc(k.lingering, (*partition).isOver)
	k.retired = slices.DeleteFunc(k.retired, func(s *running) bool {
		if slices.ContainsFunc(k.lingering, func(p *partition) bool { return p.of == s }) {
			return false
		}
		s.closeTarget()
		return true
	})
}

// isTaken reports whether somebody has taken the partition from this process since it has it, such as an operator who moves
// its cursor.
func (k *keeper) isTaken(now *subscription, p *partition) bool {
	return now != nil && p.since.Before(k.asOf) && p.Partition < len(now.Members) && now.Members[p.Partition] != k.member.ID
}

func (k *keeper) coreMembers() []core.Member {
	members := make([]core.Member, len(k.alive))
	for i, m := range k.alive {
		members[i] = core.Member{ID: m.ID, CanRun: m.CanRun, Aside: m.Aside}
	}
	return members
}

func (k *keeper) isOwn(members []core.Member, s *subscription, partition int) bool {
	id, ok := core.Assign(members, s.Needs, s.ID, partition)
	return ok && id == k.member.ID
}

// giveBackLeft gives back the partitions whose attempts have ended.
func (k *keeper) giveBackLeft(ctx context.Context) error {
	var left []*partition
	var owns []owned
	now := time.Now()
	for _, s := range k.allRunning() {
		for _, p := range s.all() {
			if p.wasLost() {
				k.lose(p)
			} else if p.isLeft(now) {
				left, owns = append(left, p), append(owns, p.owned)
			}
		}
	}
	if len(left) == 0 {
		return nil
	}
	if err := k.records.giveBack(ctx, owns); err != nil {
		return err
	}
	for _, p := range left {
		k.config.Logger.Info().Str("subscription", p.of.name).Int("partition", p.Partition).Str("why", p.leaving).Msg("gave a partition back")
		k.lose(p)
	}
	k.looked = time.Time{}
	k.look()
	return nil
}

// take takes what is its own and nobody's.
func (k *keeper) take(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, takeTimeout)
	defer cancel()
	members := k.coreMembers()
	alive := func(id int64) bool {
		return id != k.member.ID && slices.ContainsFunc(k.alive, func(m member) bool { return m.ID == id })
	}
	var want, strays []partitionKey
	for i := range k.all {
		s := &k.all[i]
		if now := k.running[s.ID]; !s.Running || now != nil && (now.revision != s.Revision || len(now.source.queues) != len(s.Members)) {
			continue
		}
		if why := k.wasUnmade(s.ID, s.Revision); why != nil {
			k.passOn(s.ID, s.Revision, s.Needs, fmt.Errorf("the target of %s cannot be made: %w", s.Name, why))
			continue
		}
		for partition, has := range s.Members {
			key := partitionKey{s.ID, partition}
			if has == k.member.ID && !k.has(key) && !k.isOwn(members, s, partition) {
				strays = append(strays, key)
			}
			if alive(has) || !k.isOwn(members, s, partition) || k.has(key) {
				continue
			}
			if p := k.lingers(key, len(s.Members)); p != nil {
				k.leaveHanging(ctx, p, s, key)
				continue
			}
			want = append(want, key)
		}
	}
	k.missing = len(want)+len(strays) > 0
	// It was lost here, or nobody knows whether it was taken, and meanwhile it is to be another's, who waits for it.
	if len(strays) > 0 {
		if err := k.records.letGo(ctx, k.member, strays); err != nil {
			return err
		}
	}
	if len(want) == 0 {
		return nil
	}
	if len(want) > k.atOnce {
		// One that takes too long is not to keep the others from being taken.
		first := k.slow % len(want)
		want = append(want[first:], want[:first]...)[:k.atOnce]
		k.look()
	}
	begun := time.Now()
	all, err := k.records.take(ctx, k.member, *k.log.Load(), want)
	switch {
	case time.Since(begun) > takeSlow:
		k.slow++
		k.atOnce = max(k.atOnce/2, 1)
	case err == nil:
		k.atOnce = min(2*k.atOnce, takeAtOnce)
	}
	if err != nil {
		return err
	}
	if len(all) > 0 {
		failpoint.HitIn(ctx, failpoint.DeliverTaken)
	}
	for i := range all {
		k.begin(ctx, &all[i])
	}
	if len(all) < len(want) {
		k.looked = time.Time{} // somebody has the others at hand
	}
	return nil
}

// begin begins to deliver a partition that was taken.
func (k *keeper) begin(ctx context.Context, t *taken) {
	s := k.running[t.Subscription]
	if s != nil && (s.revision != t.Revision || len(s.source.queues) != t.Partitions) {
		// It was changed after it was looked at.
		if err := k.records.giveBack(ctx, []owned{t.owned}); err != nil {
			k.config.Logger.Warn().Err(err).Msg("giving a partition back was interrupted")
		}
		return
	}
	if s == nil {
		err := cmp.Or(k.wasUnmade(t.Subscription, t.Revision), t.Unreadable)
		if err == nil {
			s, err = k.newRunning(t)
		}
		if err != nil {
			k.leaveUnmade(ctx, t, err)
			return
		}
		delete(k.unmade, t.Subscription)
		s.feed.addSource(s.source)
		k.mu.Lock()
		k.running[t.Subscription] = s
		k.mu.Unlock()
	}
	s.start(k.config.Logger.With().Str("subscription", t.Name).Logger().WithContext(k.work), t)
	k.config.Logger.Info().Str("subscription", t.Name).Int("partition", t.Partition).Int64("position", t.Position).
		Int64("epoch", t.Epoch).Msg("took a partition")
}

// closeIfIdle forgets a subscription of which nothing is here any more.
func (k *keeper) closeIfIdle(s *running) {
	if len(s.all()) > 0 || k.running[s.id] != s {
		return
	}
	s.feed.removeSource(s.source)
	k.mu.Lock()
	delete(k.running, s.id)
	k.mu.Unlock()
	k.retired = append(k.retired, s)
}

func (k *keeper) has(key partitionKey) bool {
	s := k.running[key.Subscription]
	if s == nil {
		return false
	}
	return slices.ContainsFunc(s.all(), func(p *partition) bool { return p.Partition == key.Partition })
}

// lingers returns a partition that shares keys with one of n and of which an attempt is in flight here; nil: there is none.
func (k *keeper) lingers(key partitionKey, n int) *partition {
	i := slices.IndexFunc(k.lingering, func(p *partition) bool {
		mask := min(n, len(p.of.source.queues)) - 1
		return p.Subscription == key.Subscription && p.Partition&mask == key.Partition&mask
	})
	if i < 0 {
		return nil
	}
	return k.lingering[i]
}

// halts acts on partitions that make no attempts any more.
func (k *keeper) halts(ctx context.Context) {
	for _, s := range k.allRunning() {
		for _, p := range s.all() {
			p.mu.Lock()
			halt := p.core.Halted()
			done := halt == nil || p.gone || p.leaving != ""
			p.mu.Unlock()
			if done {
				continue
			}
			if halt.Outcome == core.Undecodable {
				if err := k.leaveUnreadable(ctx, p, halt); err != nil {
					k.config.Logger.Warn().Err(err).Msg("looking who else delivers was interrupted")
				}
				continue
			}
			reason := reasonOfHalt(halt)
			stopped, err := k.records.stop(ctx, p.owned, failure{Position: halt.Position, Error: halt.Error, Reason: reason})
			if err != nil && !errors.Is(err, errLost) {
				k.config.Logger.Warn().Err(err).Str("subscription", s.name).Msg("stopping a subscription was interrupted")
				continue
			}
			k.config.Logger.Error().Str("subscription", s.name).Int64("position", halt.Position).Str("error", halt.Error).Msg("stopped")
			if stopped {
				s.alert(TypeSubscriptionStopped, Alert{Count: 1, FirstPosition: halt.Position, LastPosition: halt.Position, Class: string(reason), Error: halt.Error})
			}
			p.leave("it has stopped")
		}
	}
}

// The reasons for which subscriptions stop by themselves.
const (
	ReasonGone    operations.Reason = "target-gone"
	ReasonStopped operations.Reason = "stopped-by-target"
)

func reasonOfHalt(h *core.Halt) operations.Reason {
	if h.Outcome == core.Gone {
		return ReasonGone
	}
	return ReasonStopped
}

// fulfil hands what operators want to the partitions.
func (k *keeper) fulfil(ctx context.Context) error {
	var keys []partitionKey
	asOf := make(map[partitionKey]uint64)
	own := make(map[partitionKey]*partition)
	for _, s := range k.allRunning() {
		for _, p := range s.all() {
			p.mu.Lock()
			if p.leaving == "" && p.core.Halted() == nil {
				keys, own[p.partitionKey], asOf[p.partitionKey] = append(keys, p.partitionKey), p, p.core.AsOf()
			}
			p.mu.Unlock()
		}
	}
	if len(keys) == 0 {
		return nil
	}
	found, err := k.records.wanted(ctx, keys, wantedAtOnce)
	if err != nil {
		return err
	}
	for key, rows := range found {
		if !own[key].fulfil(asOf[key], rows) || len(rows) == wantedAtOnce {
			k.looked = time.Time{}
		}
	}
	return nil
}

var wishes = map[wish]core.Wish{wantRetry: core.RetryNow, wantRedrive: core.Redrive, wantDiscard: core.Discard}

// fulfil carries out what operators want of rows, and returns false if they are to be read again.
func (p *partition) fulfil(asOf uint64, rows []wantedRow) (ok bool) {
	p.mu.Lock()
	ok = true
	now := time.Now()
	for i := range rows {
		row := &rows[i]
		// One that has stopped leaves it to who has it next: the move that it ends with must not say that it was done.
		if p.gone || p.leaving != "" || p.core.Halted() != nil || p.wished[row.Position] == row.Wish {
			continue
		}
		if !p.core.Want(now, asOf, row.parkedRow, wishes[row.Wish]) {
			ok = false
			break
		}
		p.wished[row.Position] = row.Wish
	}
	p.queueMove()
	p.mu.Unlock()
	p.pump(false)
	return ok
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
