package telemetry

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestAMetricThatIsWrongIsMissing: the others are served, the process goes on, and somebody is told.
func TestAMetricThatIsWrongIsMissing(t *testing.T) {
	m := New(Build{})
	var told []string
	m.Failed = func(err error) { told = append(told, err.Error()) }
	for name, collect := range map[string]func(sample func(float64, ...string)){
		"shop_good":   func(sample func(float64, ...string)) { sample(7, "NOK") },
		"shop_labels": func(sample func(float64, ...string)) { sample(1); sample(2, "NOK"); sample(3, "NOK", "x") },
		"shop_panics": func(sample func(float64, ...string)) { sample(4, "NOK"); panic("a mistake") },
	} {
		err := m.Add(Own{Name: name, Help: "Of a shop.", Labels: []string{"currency"}, Collect: func(_ context.Context, sample func(float64, ...string)) error {
			collect(sample)
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	got := w.Body.String()
	for line, want := range map[string]bool{
		`shop_good{currency="NOK"} 7`: true, `shop_labels{currency="NOK"} 2`: true, "shop_labels{currency=\"NOK\"} 3": false, "shop_panics{": false, "go_goroutines": true,
	} {
		if w.Code != 200 || strings.Contains(got, line) != want {
			t.Errorf("status %d, %s is served: %t, want %t", w.Code, line, !want, want)
		}
	}
	if all := strings.Join(told, "\n"); len(told) != 1 || !strings.Contains(all, "shop_labels") || !strings.Contains(all, "a mistake") || !strings.Contains(all, "own_test.go") {
		t.Errorf("told was %q", told)
	}
}
