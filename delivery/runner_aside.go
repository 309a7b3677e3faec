package delivery

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/57528e99/recount/delivery/internal/core"
)

// unmade is why the target of a revision of a subscription could not be made. It is not tried again before a time.
type unmade struct {
	revision int64
	why      error
	until    time.Time
}

// aside is a subscription that this process leaves to others for a time: others can run what it needs, and it cannot go on with
// this one. Another revision of it may be another matter.
type aside struct {
	needs    string
	revision int64
	until    time.Time
}

// passOn leaves a subscription to others for a time, if there are any that can run it, and reports whether there are.
func (k *keeper) passOn(subscription, revision int64, needs string, why error) bool {
	if !k.othersCanRun(subscription, needs) {
		return false
	}
	if _, ok := k.aside[subscription]; ok {
		return true
	}
	k.config.Logger.Warn().Err(why).Dur("for", asideTime).Msg("leaving a subscription to other processes")
	k.aside[subscription] = aside{needs, revision, time.Now().Add(asideTime)}
	k.heard.Store(true)
	k.look()
	return true
}

// tellAside lets other processes know which subscriptions this one leaves to them: those that none of them can run are its own.
func (k *keeper) tellAside(ctx context.Context, now time.Time) error {
	maps.DeleteFunc(k.aside, func(_ int64, a aside) bool { return !now.Before(a.until) })
	var ids []int64
	for id, a := range k.aside {
		if k.othersCanRun(id, a.needs) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	if slices.Equal(ids, k.member.Aside) {
		return nil
	}
	if err := k.records.setAside(ctx, k.member, ids); err != nil {
		return err
	}
	k.member.Aside = ids
	k.renewedAt = time.Time{}
	k.look()
	return nil
}

// forgetAside takes up again what was changed or deleted since this process left it to others, or could not make its target.
func (k *keeper) forgetAside() {
	isThere := func(id, revision int64) bool {
		return slices.ContainsFunc(k.all, func(s subscription) bool { return s.ID == id && s.Revision == revision })
	}
	maps.DeleteFunc(k.aside, func(id int64, a aside) bool { return !isThere(id, a.revision) })
	maps.DeleteFunc(k.unmade, func(id int64, u unmade) bool { return !isThere(id, u.revision) })
}

// othersCanRun reports whether another process has what a subscription needs, and does not leave it to others itself.
func (k *keeper) othersCanRun(subscription int64, needs string) bool {
	return slices.ContainsFunc(k.alive, func(m member) bool {
		return m.ID != k.member.ID && slices.Contains(m.CanRun, needs) && !slices.Contains(m.Aside, subscription)
	})
}

// wasUnmade returns why the target of a subscription could not be made a moment ago, nil if it is to be tried.
func (k *keeper) wasUnmade(subscription, revision int64) error {
	if u := k.unmade[subscription]; u.revision == revision && time.Now().Before(u.until) {
		return u.why
	}
	return nil
}

// leaveUnmade gives a partition back for which there is no target here: to one who can make it, or else to try again in a while.
func (k *keeper) leaveUnmade(ctx context.Context, t *taken, why error) {
	trouble := fmt.Sprintf("its target cannot be made: %v", why)
	tell := []told{{owned: t.owned, Trouble: trouble}}
	if k.wasUnmade(t.Subscription, t.Revision) == nil {
		k.unmade[t.Subscription] = unmade{t.Revision, why, time.Now().Add(lookInterval)}
		why := fmt.Errorf("the target of %s cannot be made: %w", t.Name, why)
		if !k.passOn(t.Subscription, t.Revision, t.Needs, why) {
			k.config.Logger.Warn().Err(why).Dur("pause", lookInterval).Msg("a subscription waits")
			for n := range t.Partitions { // nobody takes the others meanwhile
				if n != t.Partition {
					tell = append(tell, told{owned: owned{partitionKey: partitionKey{t.Subscription, n}}, Trouble: trouble})
				}
			}
		}
	}
	err := k.records.tell(ctx, tell)
	if err == nil {
		err = k.records.giveBack(ctx, []owned{t.owned})
	}
	if err != nil {
		k.config.Logger.Warn().Err(err).Msg("giving a partition back was interrupted")
	}
}

// leaveUnreadable gives a partition back with an event that this process cannot read: to one that can, or else to take it
// again, with that event as a dead letter.
func (k *keeper) leaveUnreadable(ctx context.Context, p *partition, halt *core.Halt) error {
	// Who has joined a moment ago may be the one.
	_, alive, err := k.records.renew(ctx, k.member, k.feed.reads())
	if err != nil {
		return err
	}
	k.set(k.member, alive)
	s := p.of
	needs := s.definition.needs()
	if !k.passOn(s.id, s.revision, needs, fmt.Errorf("%s: this program cannot read the event at position %d: %s", s.name, halt.Position, halt.Error)) {
		k.mu.Lock()
		k.alone[s.id] = needs
		k.mu.Unlock()
	}
	p.leave("this program cannot read an event")
	return nil
}

// stuck notes attempts that should have returned. A partition with no other attempt left is given to another process; if
// there is none it stays, or what its attempts have done, should they return, would be done again.
func (k *keeper) stuck() {
	now := time.Now()
	for _, s := range k.allRunning() {
		for _, p := range s.all() {
			p.mu.Lock()
			for a, f := range p.flights {
				if !f.stuck && p.isOverdue(f, now) {
					p.flights[a] = flight{f.begun, true}
					p.core.Stuck(a)
					p.queueMove()
				}
			}
			none := p.core.NoSlots()
			p.mu.Unlock()
			if none {
				k.passOn(s.id, s.revision, s.definition.needs(), fmt.Errorf("%s: no attempt of partition %d returns", s.name, p.Partition))
			}
		}
	}
}

// leaveHanging leaves to others, if there are any, what waits here for an attempt of p that should have returned: its key
// must not be tried beside it in this process. If there are none operators are told.
func (k *keeper) leaveHanging(ctx context.Context, p *partition, s *subscription, key partitionKey) {
	overdue := p.overdue(time.Now())
	if len(overdue) == 0 || k.passOn(s.ID, s.Revision, s.Needs, fmt.Errorf("%s: partition %d waits: %s", s.Name, key.Partition, stuckText(overdue))) {
		return
	}
	trouble := stuckText(overdue) + "; only another process could go on, and there is none"
	if p.told == trouble {
		return
	}
	if err := k.records.tell(ctx, []told{{owned: owned{partitionKey: key}, Trouble: trouble}}); err != nil {
		k.config.Logger.Warn().Err(err).Msg("telling why a partition waits was interrupted")
		return
	}
	p.told = trouble
	k.config.Logger.Error().Str("subscription", s.Name).Int("partition", key.Partition).Msg(trouble)
}

// StuckAttempt is an attempt that should have returned. Its key waits for it.
type StuckAttempt struct {
	// Position and Key are those of its first event.
	Position int64  `json:"position"`
	Key      string `json:"key"`
	// Since is when it began.
	Since time.Time `json:"since"`
}

// String says it in a few words.
func (a StuckAttempt) String() string {
	return fmt.Sprintf("position %d of %q since %s", a.Position, a.Key, a.Since.Format(time.RFC3339))
}

func (p *partition) isOverdue(f flight, now time.Time) bool {
	return now.Sub(f.begun) > p.of.timeout+returnGrace
}

// overdue returns the attempts of the partition that should have returned by now, the oldest first.
func (p *partition) overdue(now time.Time) []StuckAttempt {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.overdueLocked(now)
}

// overdueLocked is overdue for who holds mu.
func (p *partition) overdueLocked(now time.Time) []StuckAttempt {
	var all []StuckAttempt
	for a, f := range p.flights {
		if f.stuck || p.isOverdue(f, now) {
			all = append(all, StuckAttempt{a.Items[0].Position, a.Items[0].Key, f.begun.UTC().Truncate(time.Millisecond)})
		}
	}
	slices.SortFunc(all, func(a, b StuckAttempt) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Position, b.Position))
	})
	return all
}

// stuckText says which attempts are stuck, of one at least.
func stuckText(all []StuckAttempt) string {
	if len(all) == 1 {
		return fmt.Sprintf("stuck: an attempt does not return: %s", all[0])
	}
	return fmt.Sprintf("stuck: %d attempts do not return, the oldest: %s", len(all), all[0])
}
