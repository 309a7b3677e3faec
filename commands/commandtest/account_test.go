package commandtest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder is a TB that keeps what is reported.
type recorder struct{ reports []string }

func (*recorder) Helper() {}

func (r *recorder) Errorf(format string, args ...any) {
	r.reports = append(r.reports, fmt.Sprintf(format, args...))
}

// wantReport checks that there is one report, with all the given parts.
func (r *recorder) wantReport(t *testing.T, parts ...string) {
	t.Helper()
	if len(r.reports) != 1 {
		t.Fatalf("%d reports, want one:\n%s", len(r.reports), strings.Join(r.reports, "\n"))
	}
	for _, part := range parts {
		if !strings.Contains(r.reports[0], part) {
			t.Errorf("the report does not say %q:\n%s", part, r.reports[0])
		}
	}
}

// account is an aggregate that does everything right.
type account struct {
	Balance int
	Entries []entry
}

type entry struct {
	Amount int
	Note   string
}

type accountEvent interface{ Evolve(account) account }

type entered struct {
	Amount int
	Notes  []string
}

func (e entered) Evolve(a account) account {
	a.Balance += e.Amount
	a.Entries = append(slices.Clip(a.Entries), entry{e.Amount, strings.Join(e.Notes, ", ")})
	return a
}

type closed struct{}

func (closed) Evolve(a account) account { return account{} }

var (
	errOverdrawn = errors.New("not that much in the account")
	errOther     = errors.New("something else")
)

type withdraw struct{ amount int }

func (c withdraw) Decide(a account) ([]accountEvent, error) {
	switch {
	case c.amount > a.Balance:
		return nil, fmt.Errorf("withdraw %d: %w", c.amount, errOverdrawn)
	case c.amount == 0:
		return nil, nil
	}
	return []accountEvent{entered{Amount: -c.amount, Notes: []string{"cash"}}}, nil
}

// both decides events and refuses as well.
type both struct{}

func (both) Decide(account) ([]accountEvent, error) {
	return []accountEvent{closed{}}, errOverdrawn
}
