package commands

import (
	"slices"
	"testing"

	"github.com/57528e99/recount/eventstore"
)

func TestCommandsAreObserved(t *testing.T) {
	t.Parallel()
	store := newFaulty()
	var seen []Observation
	h := newAccounts(t, store, Config{Observe: func(o Observation) { seen = append(seen, o) }})
	other := newAccounts(t, store.Store, Config{})
	receipt := Options{Receipt: &ReceiptRequest{Scope: "s", Key: "k"}}

	mustHandle(t, h, "1", deposit{1}, receipt)
	mustHandle(t, h, "1", deposit{1}, receipt)
	mustHandle(t, h, "1", fill{0}, Options{})
	for _, o := range []Options{{}, {Expected: eventstore.NoStream}} {
		if _, err := h.Handle(t.Context(), "1", withdraw{99}, o); err == nil {
			t.Error("the command was accepted")
		}
	}
	store.before = once(func() { mustHandle(t, other, "1", deposit{10}, Options{}) })
	mustHandle(t, h, "1", deposit{1}, Options{})
	if _, err := h.Handle(t.Context(), "", deposit{1}, Options{}); err == nil {
		t.Error("a command without an id was accepted")
	}

	var outcomes []Outcome
	for _, o := range seen {
		outcomes = append(outcomes, o.Outcome)
		if o.Category != "account" || o.Duration <= 0 || !slices.Contains(Outcomes(), o.Outcome) {
			t.Errorf("%+v has not the category account and a duration, or is no outcome", o)
		}
	}
	if want := []Outcome{Accepted, Replayed, Unchanged, Rejected, Conflicted, Accepted}; !slices.Equal(outcomes, want) {
		t.Fatalf("outcomes = %q, want %q", outcomes, want)
	}
	if seen[0].Retries != 0 || seen[5].Retries != 1 {
		t.Errorf("retries = %d and %d, want 0 and 1", seen[0].Retries, seen[5].Retries)
	}
}
