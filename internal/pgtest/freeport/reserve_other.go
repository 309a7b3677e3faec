//go:build !linux

package freeport

import (
	"fmt"
	"net"
)

// Reservation is an address that was free when it was looked for.
type Reservation struct {
	// Port is that of the address 127.0.0.1.
	Port int
}

// Reserve looks for a port of 127.0.0.1 that nobody listens on.
func Reserve() (*Reservation, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("look for a port: %w", err)
	}
	return &Reservation{Port: l.Addr().(*net.TCPAddr).Port}, l.Close()
}

// Close does nothing here.
func (r *Reservation) Close() error { return nil }
