package core

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// isMutant says that package trials runs this with a bug in the package.
var isMutant = os.Getenv("RECOUNT_TRIAL_MUTANT") != ""

// reportCaught tells package trials which rule was broken.
func reportCaught(t *testing.T, began time.Time, rule string) {
	if isMutant {
		fmt.Printf("caught\t%s\t%d\t%s\n", t.Name(), time.Since(began).Milliseconds(), rule)
	}
}

// TestPlanted breaks what the world does around the package, which others build, as the rules of the design would be broken
// without which it does not hold.
func TestPlanted(t *testing.T) {
	if isRace {
		t.Skip("one goroutine has no races")
	}
	for _, p := range plants {
		t.Run(string(p), func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(4000) {
				if v := runWorld(seed+1, p, 0); v != nil {
					t.Logf("caught in run %d: %s: %s", seed+1, v.rule, v.what)
					return
				}
			}
			t.Error("nobody notices")
		})
	}
}

// plant is a bug of what is around the package.
type plant string

const (
	epochsAgain    plant = "epochs begin anew with other partitions"
	rowsTooEarly   plant = "rows are read before the partition is taken"
	epochUnguarded plant = "moves do not compare the epoch"
	lifeUnguarded  plant = "moves do not compare the incarnation"
	adoptNothing   plant = "a restore leaves epochs and cursors"
	twoAtOnce      plant = "two transactions of a partition at once"
	barrierFirst   plant = "partitions are merged before they are at the barrier"
	splitAtRead    plant = "a new partition begins where the owner has read to"
	redefineAtOnce plant = "a new definition does not wait for attempts in flight"
	seekKeepsEpoch plant = "a seek leaves the epoch"
	staleWishes    plant = "wishes are carried out however old the rows are"
	wishesTooSoon  plant = "wishes are read while a move is under way"
	lateEffects    plant = "effects commit before the cursor moves"
)

var plants = []plant{epochsAgain, rowsTooEarly, epochUnguarded, lifeUnguarded, adoptNothing, twoAtOnce, barrierFirst, splitAtRead,
	redefineAtOnce, seekKeepsEpoch, staleWishes, wishesTooSoon, lateEffects}
