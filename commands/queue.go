package commands

import (
	"container/list"
	"context"
	"sync"
)

// queue gives turns by name: one holder per name at a time, the others in the
// order they came. It holds memory only for names that are in use.
type queue struct {
	mu sync.Mutex
	// waiting has an entry for each name whose turn is taken, with the
	// chan struct{} of everyone who waits for it, first come first.
	waiting map[string]*list.List
}

func newQueue() *queue {
	return &queue{waiting: make(map[string]*list.List)}
}

// enter waits for the turn of the given name. Who gets it must leave. If ctx
// ends first, enter returns its error and there is no turn to give back.
func (q *queue) enter(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	q.mu.Lock()
	line, taken := q.waiting[name]
	if !taken {
		q.waiting[name] = list.New()
		q.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	place := line.PushBack(turn)
	q.mu.Unlock()

	select {
	case <-turn:
		return nil
	case <-ctx.Done():
		q.giveUp(name, line, place, turn)
		return ctx.Err()
	}
}

// tryEnter takes the turn of the given name if nobody has it, and reports whether it did.
func (q *queue) tryEnter(name string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if _, taken := q.waiting[name]; taken {
		return false
	}
	q.waiting[name] = list.New()
	return true
}

// giveUp takes a waiter out of the line. The turn may have come in the same
// moment: then it goes to the next one.
func (q *queue) giveUp(name string, line *list.List, place *list.Element, turn <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	select {
	case <-turn:
		q.pass(name)
	default:
		line.Remove(place)
	}
}

// leave gives the turn to the next in line.
func (q *queue) leave(name string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.pass(name)
}

func (q *queue) pass(name string) {
	line := q.waiting[name]
	first := line.Front()
	if first == nil {
		delete(q.waiting, name)
		return
	}
	close(line.Remove(first).(chan struct{}))
}
