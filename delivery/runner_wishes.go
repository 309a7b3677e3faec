package delivery

import (
	"context"
	"errors"
	"time"

	"github.com/57528e99/recount/delivery/internal/core"
	"github.com/57528e99/recount/operations"
)

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

// turnInterval is how often it is looked whose turn it is of what operators want by and by.
const turnInterval = time.Second

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
	found, later, err := k.records.wanted(ctx, keys, wantedAtOnce)
	if err != nil {
		return err
	}
	if later {
		k.looked = time.Now().Add(turnInterval - lookInterval)
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
