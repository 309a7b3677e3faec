package delivery

import "time"

// isQuiet reports whether the keeper may leave its partitions alone until the next time: of thousands that are idle the mere
// look at each, every second, costs more than all else.
func (k *keeper) isQuiet(now time.Time) bool {
	return !k.asked.Swap(false) && !k.unsettled && now.Sub(k.looked) < lookInterval && k.stirred.isEmpty()
}

// isSettled reports whether nothing goes on that ends without a word.
func (k *keeper) isSettled() bool {
	if k.missing || len(k.lingering)+len(k.retired)+len(k.unmade) > 0 {
		return false
	}
	for i := range k.all {
		if k.all[i].HalvingTo > 0 {
			return false
		}
	}
	for _, s := range k.allRunning() {
		for _, p := range s.all() {
			p.mu.Lock()
			settled := p.leaving == "" && !p.isLost && p.core.Halted() == nil
			p.mu.Unlock()
			if !settled {
				return false
			}
		}
	}
	return true
}

// stir says that partitions of the subscription may have something to tell. They have as long as an attempt is in flight,
// which may hang.
func (s *running) stir() {
	if !s.stirred.Load() && s.stirred.CompareAndSwap(false, true) {
		s.runner.stirred.add(s)
	}
}

// isStill reports whether there is nothing to tell of the partition but what has been told, until somebody stirs it. The
// caller holds mu.
func (p *partition) isStill(idle bool) bool {
	return idle && p.toldIdle && p.trouble == "" && len(p.flights) == 0 && !p.moving && !p.gone
}
