package delivery

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
)

// Each state is made in turn, for the first event for which it is true.
func TestExplainSaysTheFirstThingThatIsTrue(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx, a := t.Context(), b.admin()
	for i := range 20 {
		b.append([]string{"a-1", "b-1"}[i%2])
	}
	b.mustPut("mail", `{`+toHandler+`,"partitions":1,"start":{"position":3},"filter":{"stream":["a-1"]}}`)
	want := func(position int64, state ExplainedState, why NotRead, text string) Explanation {
		t.Helper()
		x, err := a.Explain(ctx, "mail", position)
		if err != nil {
			t.Fatal(err)
		}
		if x.State != state || x.Why != why || !strings.Contains(x.Text, text) {
			t.Errorf("position %d is %s %s: %s; want %s %s: %s", position, x.State, x.Why, x.Text, state, why, text)
		}
		return x
	}
	want(99, NotInLog, "", "no event at position 99")
	want(2, BeforeStart, "", "begins behind position 2")
	if x := want(4, NotMatched, "", "revision 1 does not match"); x.Clause == nil || x.Clause.Pointer != "/stream" || !strings.Contains(x.Clause.Found, "b-1") {
		t.Errorf("clause %+v", x.Clause)
	}
	want(5, NotReadYet, BecauseNoMember, "no process that delivers can run its target")
	if err := a.Pause(ctx, "mail", "me"); err != nil {
		t.Fatal(err)
	}
	want(5, NotReadYet, BecausePaused, "paused")
	if err := a.Resume(ctx, "mail", "me"); err != nil {
		t.Fatal(err)
	}
	m := b.joined("first")
	want(5, NotReadYet, BecauseNoOwner, "no process has partition 0 yet")
	own := b.taken(m, partitionKey{b.id("mail"), 0})[0].owned
	want(5, NotReadYet, BecauseItIsItsTurn, "partition 0 is at 2")
	failed := time.Now().UTC().Truncate(time.Microsecond)
	move1 := func(mv move) {
		t.Helper()
		mv.owned = own
		if refused := b.moved(mv); len(refused) > 0 {
			t.Fatal("refused")
		}
	}
	move1(move{From: 2, To: 11, Report: &report{Read: 15}, Put: []parkedRow{
		{Position: 5, Key: "a-1", State: dead, Class: "permanent", Error: "broken", Attempts: 2, DeadAt: failed},
		{Position: 7, Key: "a-1", State: waiting, Error: "busy", Attempts: 3, Charged: 1, NextAttempt: failed, FirstFailed: failed},
		{Position: 9, Key: "a-1", State: blocked}}})
	if x := want(5, IsDead, "", "dead letter (permanent) after 2 attempts: broken"); x.Row == nil || x.Row.Attempts != 2 {
		t.Errorf("row %+v", x.Row)
	}
	want(7, IsWaiting, "", "failed 3 times (1 of them count against it) and is tried again at")
	if x := want(9, IsBlocked, "", "behind the event at position 7"); x.Behind != 7 {
		t.Errorf("behind %d", x.Behind)
	}
	if err := b.recordAttempts(ctx, "first", []attempt{{Subscription: own.Subscription, Position: 11, Attempt: 1, At: failed, Outcome: "done"}}); err != nil {
		t.Fatal(err)
	}
	if x := want(11, IsDelivered, "", "was done"); len(x.Attempts) != 1 {
		t.Errorf("attempts %+v", x.Attempts)
	}
	want(15, UnderWay, "", "process first has read it")
	open := "open"
	for _, c := range []struct {
		r    report
		why  NotRead
		text string
	}{
		{report{Breaker: &open, NextProbe: &failed}, BecauseBreaker, "taken for down; it is tried next at"},
		{report{Throttled: &failed}, BecauseThrottled, "takes nothing before it is at"},
		{report{Full: []string{"a-1"}}, BecauseFull, `of keys ["a-1"]`},
		{report{Rate: 2}, BecauseItIsItsTurn, "at 2 a second that takes about 3s"},
	} {
		move1(move{From: 11, To: 11, Report: &c.r})
		want(17, NotReadYet, c.why, c.text)
	}
	if _, err := b.stop(ctx, own, failure{Error: "no more", Reason: "target-gone"}); err != nil {
		t.Fatal(err)
	}
	want(17, NotReadYet, BecauseStopped, "no more")
	if err := a.Resume(ctx, "mail", "me"); err != nil {
		t.Fatal(err)
	}
	// What was judged is judged by what was in force then.
	b.mustPut("mail", `{`+toHandler+`,"partitions":1,"filter":{"stream":["b-1"]}}`)
	want(17, NotMatched, "", "revision 2 does not match")
	want(11, IsDelivered, "", "")
	if _, err := a.Reset(ctx, "mail", ResetOptions{To: Start{Position: 15}, Reason: "enough", Actor: "me"}); err != nil {
		t.Fatal(err)
	}
	if x := want(14, Skipped, "", "left out by a reset"); x.Skipped == nil || x.Skipped.Detail != "enough" || x.Skipped.Actor != "me" {
		t.Errorf("skipped %+v", x.Skipped)
	}
	want(10, NotMatched, "", "revision 1 does not match")
	want(7, IsWaiting, "", "")
	for e, err := range b.store.ReadAll(ctx, readFrom(14)) {
		if err != nil {
			t.Fatal(err)
		}
		if x, err := a.ExplainEvent(ctx, "mail", e.ID); err != nil || x.State != Skipped || x.Position != 14 {
			t.Errorf("by id: %+v, %v", x, err)
		}
		break
	}
	a.searched = 1
	for e := range b.store.ReadAll(ctx, eventstore.ReadOptions{From: 14, Limit: 1}) {
		if x, err := a.ExplainEvent(ctx, "mail", e.ID); err != nil || x.State != NotInLog || !strings.Contains(x.Text, "last 1 events") {
			t.Errorf("by the id of an event before those that are looked at: %+v, %v", x, err)
		}
	}
	if x, err := a.ExplainEvent(ctx, "mail", uuid.New()); err != nil || x.State != NotInLog {
		t.Errorf("an id that is not there: %+v, %v", x, err)
	}
}
