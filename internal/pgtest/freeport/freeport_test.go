package freeport_test

import (
	"errors"
	"net"
	"runtime"
	"syscall"
	"testing"

	"github.com/57528e99/recount/internal/pgtest/freeport"
)

func TestAServerComesBackWhereItWas(t *testing.T) {
	t.Parallel()
	r := freeport.For(t)
	for range 2 {
		if conn, err := net.Dial("tcp", r.Address()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("Dial = %v, %v while nobody listens, want to be refused", conn, err)
		}
		l, err := net.Listen("tcp", r.Address())
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp", r.Address())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close() // the next one comes while it is open
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestNobodyIsGivenAReservedPort asks for any port so often that, of the ten or thirty thousand
// that there are, one of a hundred would almost certainly come if it were free.
func TestNobodyIsGivenAReservedPort(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("ports are reserved on Linux only")
	}
	reserved := make(map[int]bool)
	for range 100 {
		reserved[freeport.For(t).Port] = true
	}
	for range 500 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if port := l.Addr().(*net.TCPAddr).Port; reserved[port] {
			t.Fatalf("port %d was given to somebody else", port)
		}
	}
}
