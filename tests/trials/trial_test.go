package trials

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/57528e99/recount/eventstore/logcheck"
	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/tests/mutants"
)

// scenarios are what mutants name. Each breaks a rule if its mutant is there, and none if it is
// not.
var scenarios = map[string]func(*world){
	// What is in the log.
	"contendWithoutKeys":     contendWithoutKeys,
	"contend":                contend,
	"killedBeforeCommit":     killedBeforeCommit,
	"killedServer":           killedServer,
	"newTypesInTransactions": newTypesInTransactions,
	// What is retried is there once.
	"retriedWithIDs":     retriedWithIDs,
	"retriedAtOnce":      retriedAtOnce,
	"retriedWithReceipt": retriedWithReceipt,
	"retriedAfterKill":   retriedAfterKill,
	"answerLost":         answerLost,
	"commitLate":         commitLate,
	// What readers are given.
	"readAcross":           readAcross,
	"deaf":                 deaf,
	"besideOldTransaction": besideOldTransaction,
	"damaged":              damaged,
	"largeAppends":         largeAppends,
	"resumed":              resumed,
	"truncated":            truncated,
	"readInAnotherLife":    readInAnotherLife,
	"appendElsewhere":      appendElsewhere,
	// What commands are decided from.
	"overdrawn":            overdrawn,
	"refusedTooSoon":       refusedTooSoon,
	"transferredBothWays":  transferredBothWays,
	"limitLowered":         limitLowered,
	"snapshotBeforeDelete": snapshotBeforeDelete,
	"snapshotOfOtherKind":  snapshotOfOtherKind,
	// What is made of the log.
	"followed":          followed,
	"frozenOwner":       frozenOwner,
	"undecodable":       undecodable,
	"startedAndStopped": startedAndStopped,
	"readOwnWrite":      readOwnWrite,
	"readPast":          readPast,
	"anotherApp":        anotherApp,
	// What subscriptions are given.
	"filtered":        filtered,
	"movedLate":       movedLate,
	"movedInACopy":    movedInACopy,
	"effectLate":      effectLate,
	"lostMove":        lostMove,
	"pausedMeanwhile": pausedMeanwhile,
	"sameIDs":         sameIDs,
	"replayed":        replayed,
	"toldToWait":      toldToWait,
	"letGo":           letGo,
	"toldOfItself":    toldOfItself,
	// What a rebuild leaves.
	"rebuilt":  rebuilt,
	"replaced": replaced,
	"changed":  changed,
}

// Rules that scenarios know by name. Those of package logcheck are in it; the others, of what a
// single answer must be, are in the mutants.
const (
	ruleRebuilt  logcheck.Rule = "a rebuild succeeds"
	ruleMonotone logcheck.Rule = "what was shown does not go away"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(envRole); role != "" {
		if err := runRole(context.Background(), role, os.Getenv(envDSN)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	pgtest.Main(m)
}

// TestTrials goes through the scenarios of all mutants. No rule is broken, unless this program is
// one.
func TestTrials(t *testing.T) {
	all, err := mutants.All()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if m.Package != "" {
			continue // it is shown by a test there
		}
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			run := scenarios[m.Scenario]
			if run == nil {
				t.Fatalf("there is no scenario %q", m.Scenario)
			}
			w := newWorld(t, m)
			run(w)
			logcheck.Test(t, w.broken)
		})
	}
}
