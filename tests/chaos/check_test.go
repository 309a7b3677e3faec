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

// TestAccount breaks each rule of deliveries by itself.
func TestAccount(t *testing.T) {
	t.Parallel()
	one, other := uuid.UUID{1: 0xff, 15: 1}, uuid.UUID{1: 0xff, 15: 2} // the receiver does not refuse them for good
	matching := []due{{one, 1, "s", 5}, {other, 2, "s", 5}, {uuid.UUID{15: 3}, 3, "s", 11}}
	both := map[uuid.UUID]delivered{one: {order: 1, times: 1}, other: {order: 2, times: 1}}
	without := func(id uuid.UUID, more ...delivered) map[uuid.UUID]delivered {
		some := maps.Clone(both)
		delete(some, id)
		for _, d := range more {
			some[id] = d
		}
		return some
	}
	for name, c := range map[string]struct {
		s        subscribed
		got      map[uuid.UUID]delivered
		rows     map[string][]byte
		redriven map[int64]bool
		lossy    bool
		want     logcheck.Rule
	}{
		"all delivered":            {got: both},
		"one pending":              {got: without(other), rows: map[string][]byte{"2": []byte("waiting")}},
		"one dead":                 {got: without(one), rows: map[string][]byte{"1": []byte("dead")}},
		"nothing became of one":    {got: without(one), want: RuleAccounted},
		"delivered and dead":       {got: both, rows: map[string][]byte{"2": []byte("dead")}, want: RuleAccounted},
		"a row that none matches":  {got: both, rows: map[string][]byte{"7": []byte("dead")}, want: RuleAccounted},
		"delivered, and not there": {got: without(uuid.New(), delivered{times: 1}), want: RuleAccounted},
		"delivered, and lost":      {got: without(uuid.New(), delivered{times: 1}), lossy: true},
		"the wrong way round":      {got: without(one, delivered{order: 3, times: 1}), want: RuleKeyOrder},
		"late by a redrive":        {got: without(one, delivered{order: 3, times: 1}), redriven: map[int64]bool{1: true}},
		"twice in effect":          {got: without(one, delivered{order: 1, times: 2}), want: RuleOnce},
		"twice to a receiver":      {s: subscribed{sends: true}, got: without(one, delivered{order: 1, times: 2})},
	} {
		c.s.name, c.s.below = "s", 10
		found := account(&c.s, matching, c.got, c.rows, c.redriven, c.lossy)
		if c.want == "" && len(found) > 0 || c.want != "" && (len(found) != 1 || found[0].Rule != c.want) {
			t.Errorf("%s: %v, want %q", name, found, c.want)
		}
	}
}

func TestAnOutageThatParksMuchIsAViolation(t *testing.T) {
	t.Parallel()
	var o outages
	o.add(Fault{}, parkedRows{10, 2}, parkedRows{210, 2})
	o.add(Fault{}, parkedRows{}, parkedRows{210, 2}) // nobody knows what there was
	if o.n != 1 || len(o.found) > 0 {
		t.Errorf("%d outages, %v", o.n, o.found)
	}
	if o.add(Fault{}, parkedRows{10, 2}, parkedRows{211, 2}); o.n != 2 || len(o.found) != 1 {
		t.Errorf("%d outages, %v, want a violation", o.n, o.found)
	}
}
