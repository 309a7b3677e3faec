package logcheck

import "slices"

// Options say what Check can know.
type Options struct {
	// Deliveries says what readers were to be given.
	Deliveries DeliveryOptions
	// Except are rules that need not hold for the evidence, such as RuleUnsent
	// where not every client was recorded. What is checked together with one is
	// left out too.
	Except []Rule
}

// Judge checks a rule, or several together.
type Judge struct {
	Name  string
	Rules []Rule
	// OfLog: a log says enough, without a history.
	OfLog bool
	Check func(h *History, l *Log, o Options) []Violation
}

// Rules returns all rules that judge a log and a history of it, with who checks
// them. There is no other list of them.
func Rules() []Judge {
	return []Judge{
		ofLog(RuleGapless, Gapless),
		ofLog(RuleVersions, Versions),
		ofLog(RuleTimes, Times),
		ofLog(RuleAppends, WholeAppends),
		ofLog(RuleIDsOnce, IDsOnce),
		ofClients(RuleUnsent, Unsent),
		ofClients(RuleAcked, AckedStored),
		ofClients(RuleRefused, RefusedNotStored),
		ofClients(RuleOneWinner, OneWinner),
		ofClients(RuleRetries, Retries),
		ofClients(RuleTogether, Together),
		ofClients(RuleReads, ReadsOfLog),
		ofClients(RuleErrors, Errors),
		ofClients(RuleLinearizable, Linearizable),
		{Name: "deliveries", Rules: []Rule{RuleOrdered, RuleUnique, RuleComplete, RuleContent, RuleAtomic, RuleResumable},
			Check: func(h *History, l *Log, o Options) []Violation { return Deliveries(h, l, o.Deliveries) }},
	}
}

func ofLog(r Rule, check func(*Log) []Violation) Judge {
	return Judge{Name: string(r), Rules: []Rule{r}, OfLog: true, Check: func(_ *History, l *Log, _ Options) []Violation { return check(l) }}
}

func ofClients(r Rule, check func(*History, *Log) []Violation) Judge {
	return Judge{Name: string(r), Rules: []Rule{r}, Check: func(h *History, l *Log, _ Options) []Violation { return check(h, l) }}
}

// Check runs all rules that judge a history and a log.
func Check(h *History, l *Log, o Options) (all []Violation) {
	for _, judge := range Rules() {
		if !slices.ContainsFunc(judge.Rules, func(r Rule) bool { return slices.Contains(o.Except, r) }) {
			all = append(all, judge.Check(h, l, o)...)
		}
	}
	return all
}

// CheckLog checks a log by itself: all that needs no history.
func CheckLog(l *Log) (all []Violation) {
	for _, judge := range Rules() {
		if judge.OfLog {
			all = append(all, judge.Check(nil, l, Options{})...)
		}
	}
	return all
}

// T is what Test needs of a *testing.T.
type T interface {
	Helper()
	Errorf(format string, args ...any)
}

// Test fails a test for the violations that were found:
//
//	logcheck.Test(t, logcheck.CheckLog(log))
func Test(t T, violations []Violation) {
	t.Helper()
	if err := Error(violations); err != nil {
		t.Errorf("%v", err)
	}
}
