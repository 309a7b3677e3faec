package httpapi

import "testing"

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
