package freeport

import (
	"fmt"
	"syscall"
)

// Reservation keeps an address from all who do not name it.
type Reservation struct {
	// Port is that of the address 127.0.0.1.
	Port int
	fd   int
}

// Reserve reserves a port of 127.0.0.1 until Close.
func Reserve() (*Reservation, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("reserve a port: %w", err)
	}
	port, err := bind(fd)
	if err != nil {
		_ = syscall.Close(fd) // it never was of use
		return nil, fmt.Errorf("reserve a port: %w", err)
	}
	return &Reservation{Port: port, fd: fd}, nil
}

// bind binds a socket to some port, and lets others bind theirs to it by its number.
func bind(fd int) (port int, err error) {
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return 0, err
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, err
	}
	at, err := syscall.Getsockname(fd)
	if err != nil {
		return 0, err
	}
	return at.(*syscall.SockaddrInet4).Port, nil
}

// Close gives the port back. It must not be called twice.
func (r *Reservation) Close() error { return syscall.Close(r.fd) }
