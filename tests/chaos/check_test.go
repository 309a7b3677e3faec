package chaos

import (
	"io"
	"maps"
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore/logcheck"
)

func TestTooLittleIsAViolation(t *testing.T) {
	for name, c := range map[string]struct {
		config Config
		want   []string
	}{
		"nothing wanted":  {Config{}, nil},
		"just enough":     {Config{Events: 10, MinFaults: 3}, nil},
		"too few events":  {Config{Events: 11, MinFaults: 3}, []string{"10 events were acknowledged, want 11"}},
		"too few faults":  {Config{Events: 10, MinFaults: 4}, []string{"3 faults happened, want 4"}},
		"too few of both": {Config{Events: 11, MinFaults: 4}, []string{"10 events were acknowledged, want 11", "3 faults happened, want 4"}},
	} {
		c.config.Faults = 5
		if err := c.config.setDefaults(); err != nil {
			t.Fatal(err)
		}
		r := newRun(c.config)
		r.processes[idler] = &process{tally: tally{AtPoints: 1}}
		for _, k := range []Kind{Kill, CutAfter} {
			r.injector.struck(k)
		}
		r.report.Acked = 10
		r.checkLoad()
		if got := texts(r.report.Violations); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		for _, v := range r.report.Violations {
			if v.Rule != string(RuleLoad) {
				t.Errorf("%s: %q, want a violation of %q", name, v, RuleLoad)
			}
		}
	}
}

// TestNothingToCheckIsAViolation, whatever the validator says of it.
func TestNothingToCheckIsAViolation(t *testing.T) {
	for n, want := range [][]string{{`there was nothing to check for "deliveries"`}, nil} {
		r := newRun(Config{Log: io.Discard})
		r.check("deliveries", n, nil)
		if got := texts(r.report.Violations); !slices.Equal(got, want) {
			t.Errorf("with %d deliveries: %q, want %q", n, got, want)
		}
	}
}

func TestRulesAreAboutWhatIsInAHistory(t *testing.T) {
	one, other := []uuid.UUID{uuid.New()}, []uuid.UUID{uuid.New()}
	h := logcheck.History{Appends: []logcheck.Append{
		{Outcome: logcheck.Unknown, Expected: 3, IDs: one},
		{Outcome: logcheck.Acked, Expected: 3, IDs: one},
		{Outcome: logcheck.Acked, Expected: logcheck.AnyVersion, IDs: other, Together: 1},
		{Outcome: logcheck.Conflicted, Expected: logcheck.NoStream},
		{Outcome: logcheck.Refused},
	}}
	want := map[logcheck.Rule]int{logcheck.RuleAcked: 2, logcheck.RuleRefused: 2, logcheck.RuleErrors: 3, logcheck.RuleOneWinner: 1,
		logcheck.RuleRetries: 1, logcheck.RuleTogether: 1, logcheck.RuleLinearizable: 5, logcheck.RuleReads: 0, logcheck.RuleOrdered: 0}
	if got := subjectsOf(&h); !maps.Equal(got, want) {
		t.Errorf("it has %+v, want %+v", got, want)
	}
	for rule, n := range subjectsOf(new(logcheck.History)) {
		if n != 0 {
			t.Errorf("an empty one has %d for %q", n, rule)
		}
	}
}

func TestRowsAndEventsBelongTogether(t *testing.T) {
	id := uuid.New()
	one, none := []uuid.UUID{id}, []uuid.UUID{}
	for name, c := range map[string]struct {
		rows, acked []uuid.UUID
		event       bool
		want        int
	}{
		"all there":                        {one, one, true, 0},
		"a row whose append got no answer": {one, none, true, 0},
		"an event without a row":           {none, none, true, 0},
		"a row without its event":          {one, none, false, 1},
		"an acknowledged one without row":  {none, one, true, 1},
	} {
		if got := sideBySide(c.rows, c.acked, map[uuid.UUID]bool{id: c.event}); len(got) != c.want {
			t.Errorf("%s: %v, want %d violations", name, got, c.want)
		}
	}
}
