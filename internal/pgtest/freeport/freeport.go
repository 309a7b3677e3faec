package freeport

import (
	"fmt"
	"testing"
)

// Address returns the address as net.Listen takes it.
func (r *Reservation) Address() string { return fmt.Sprintf("127.0.0.1:%d", r.Port) }

// For reserves a port until the test ends.
func For(t testing.TB) *Reservation {
	t.Helper()
	r, err := Reserve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("give port %d back: %v", r.Port, err)
		}
	})
	return r
}
