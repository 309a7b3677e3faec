//go:build !unix

package pgembed

import (
	"context"
	"errors"
)

// Server is a running PostgreSQL server; there is none on this system.
type Server struct{}

// Start returns an error: the built-in server needs a Unix system.
func Start(context.Context, Config) (*Server, error) {
	return nil, errors.New("the built-in PostgreSQL is not available on this system: install PostgreSQL and pass its address")
}

// Find finds nothing.
func Find(context.Context, string) (dsn string, ok bool) { return "", false }

// Stop does nothing.
func (*Server) Stop() error { return nil }

// Stopped returns nil.
func (*Server) Stopped() <-chan struct{} { return nil }

// DSN returns nothing.
func (*Server) DSN(string) string { return "" }

// TCPDSN returns nothing.
func (*Server) TCPDSN(string) string { return "" }

// PID returns 0.
func (*Server) PID() int { return 0 }

// DataDir returns nothing.
func (*Server) DataDir() string { return "" }

// LogFile returns nothing.
func (*Server) LogFile() string { return "" }
