package sagatest_test

import (
	"testing"
	"time"

	"github.com/57528e99/recount/sagas"
	"github.com/57528e99/recount/sagas/sagatest"
)

type holiday struct {
	By string `json:"by,omitempty"`
}

// TestEscalation: who does not answer in time is followed by somebody else, and the first answer counts.
func TestEscalation(t *testing.T) {
	t.Parallel()
	s := sagas.Define("holiday", 1, func(s *sagas.Steps[holiday]) {
		s.Any("approval", func(s *sagas.Steps[holiday]) { s.Ask("agent", nil).Within(72 * time.Hour) }, func(s *sagas.Steps[holiday]) {
			s.Wait("patience", 24*time.Hour)
			s.Ask("manager", nil)
		})
		s.Command("book", func(d holiday) sagas.Command { return sagas.Command{Name: "book", Command: d.By} })
	})
	by := func(who string) func(*holiday) { return func(h *holiday) { h.By = who } }
	begun := func() *sagatest.Scenario[holiday] {
		return sagatest.Given[holiday](t, s).Begin(holiday{}).ThenOpen("agent", "patience")
	}
	begun().Done("agent", by("agent")).ThenOpen("book").Pass(48 * time.Hour).ThenData(holiday{"agent"})
	escalated := func() *sagatest.Scenario[holiday] {
		return begun().Pass(23*time.Hour+59*time.Minute).ThenOpen("agent", "patience").Pass(time.Minute)
	}
	escalated().ThenOpen("agent", "manager").Done("agent", by("agent")).ThenOpen("book").ThenData(holiday{"agent"})
	escalated().Done("manager", by("manager")).ThenOpen("book").ThenData(holiday{"manager"}).Late("agent", by("agent")).ThenData(holiday{"manager"})
	sagatest.Explore(t, s, sagatest.Exploration[holiday]{})
}
