package notification

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestReasons: what a checkout found is for who runs the shop, and not for customers.
func TestReasons(t *testing.T) {
	t.Parallel()
	for reason, want := range map[string]string{
		"changed my mind": "changed my mind",
		"checkout: reserve: article POT: cannot reserve 111: 5 available": "what you ordered is sold out",
		"checkout: authorize: the card was declined":                      "the payment was declined",
		"checkout: capture: Post \"http://10.0.0.7/capture\": EOF":        "it could not be completed",
	} {
		if got := reasonFor(reason); got != want {
			t.Errorf("of %q customers read %q, want %q", reason, got, want)
		}
	}
}
