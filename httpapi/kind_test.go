package httpapi

import (
	"testing"

	"github.com/57528e99/recount/eventstore"
)

func TestKindsAreDistinctAndComplete(t *testing.T) {
	seen := make(map[string]bool)
	for _, k := range kinds {
		if err := k.check(); err != nil {
			t.Error(err)
		}
		if seen[k.Code] {
			t.Errorf("problem code %s is defined twice", k.Code)
		}
		seen[k.Code] = true
	}
}

func TestEveryClassOfErrorsHasAKind(t *testing.T) {
	for _, c := range eventstore.Classes() {
		if ofClasses[c].kind.Code == "" {
			t.Errorf("class %s has no kind", c)
		}
	}
}
