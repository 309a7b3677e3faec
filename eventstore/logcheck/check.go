package logcheck

// Options say what Check can know.
type Options struct {
	// Linear bounds the check of linearizability.
	Linear LinearOptions
	// Deliveries says what readers were to be given.
	Deliveries DeliveryOptions
	// OthersAppended says that not every client was recorded, so that events
	// nobody is known to have sent are no violation.
	OthersAppended bool
}

// Check runs all rules that judge a history and a log.
func Check(h *History, l *Log, o Options) []Violation {
	all := CheckLog(l)
	if !o.OthersAppended {
		all = append(all, Unsent(h, l)...)
	}
	for _, rule := range []func(*History, *Log) []Violation{AckedStored, RefusedNotStored, OneWinner, Retries, Together, ReadsOfLog, Errors} {
		all = append(all, rule(h, l)...)
	}
	all = append(all, Deliveries(h, l, o.Deliveries)...)
	return append(all, Linearizable(h, l, o.Linear)...)
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
