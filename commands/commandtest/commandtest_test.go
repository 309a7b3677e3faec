package commandtest

import "testing"

func TestScenariosThatHold(t *testing.T) {
	t.Parallel()
	s := Given[account, accountEvent](t, entered{Amount: 10}, entered{Amount: 5})
	s.When(withdraw{15}).Then(entered{Amount: -15, Notes: []string{"cash"}})
	s.When(withdraw{0}).ThenNothing()
	s.When(withdraw{0}).Then()
	s.When(withdraw{16}).ThenError(errOverdrawn)
	Given[account, accountEvent](t).When(withdraw{1}).ThenError(errOverdrawn)
	Given[account, accountEvent](t, entered{Amount: 10}, closed{}).When(withdraw{1}).ThenError(errOverdrawn)
}

func TestScenariosThatDoNotHold(t *testing.T) {
	t.Parallel()
	type outcome = Outcome[account, accountEvent]
	for _, c := range []struct {
		name string
		cmd  interface {
			Decide(account) ([]accountEvent, error)
		}
		then  func(*outcome)
		parts []string
	}{
		{"other value", withdraw{3}, func(o *outcome) { o.Then(entered{Amount: -4, Notes: []string{"cash"}}) },
			[]string{"commandtest.withdraw", "[0].Amount: got -3, want -4", "[0] commandtest.entered {Amount:-3 Notes:[cash]}"}},
		{"deep inside", withdraw{3}, func(o *outcome) { o.Then(entered{Amount: -3, Notes: []string{"cheque"}}) },
			[]string{`[0].Notes[0]: got "cash", want "cheque"`}},
		{"nil for a list", withdraw{3}, func(o *outcome) { o.Then(entered{Amount: -3}) },
			[]string{"[0].Notes: got [cash], want nil"}},
		{"other type", withdraw{3}, func(o *outcome) { o.Then(closed{}) },
			[]string{"[0]: got commandtest.entered, want commandtest.closed"}},
		{"too few", withdraw{3}, func(o *outcome) { o.Then(entered{Amount: -3, Notes: []string{"cash"}}, closed{}) },
			[]string{"got 1 elements, want 2 elements", "[1] commandtest.closed"}},
		{"not nothing", withdraw{3}, func(o *outcome) { o.ThenNothing() },
			[]string{"got [{Amount:-3 Notes:[cash]}], want nil", "want nothing"}},
		{"nothing", withdraw{0}, func(o *outcome) { o.Then(closed{}) },
			[]string{"got nothing", "[0] commandtest.closed"}},
		{"refused", withdraw{99}, func(o *outcome) { o.Then(closed{}) },
			[]string{"is refused: withdraw 99: not that much", "want\n", "commandtest.closed"}},
		{"refused, not nothing", withdraw{99}, func(o *outcome) { o.ThenNothing() },
			[]string{"is refused: withdraw 99: not that much", "want nothing"}},
		{"not refused", withdraw{3}, func(o *outcome) { o.ThenError(errOverdrawn) },
			[]string{`is accepted, want the refusal "not that much in the account"`, "commandtest.entered"}},
		{"other refusal", withdraw{99}, func(o *outcome) { o.ThenError(errOther) },
			[]string{"refused with another error", "withdraw 99: not that much", "something else"}},
		{"events beside a refusal", both{}, func(o *outcome) { o.ThenError(errOverdrawn) },
			[]string{"events beside its refusal", "commandtest.closed"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := &recorder{}
			c.then(Given[account, accountEvent](r, entered{Amount: 10}).When(c.cmd))
			r.wantReport(t, c.parts...)
		})
	}
}
