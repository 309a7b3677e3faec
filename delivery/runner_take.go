package delivery

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/57528e99/recount/delivery/internal/core"
	"github.com/57528e99/recount/internal/failpoint"
)

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
