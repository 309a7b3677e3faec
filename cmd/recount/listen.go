package main

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// defaultListen is where servers listen, and clients look for one.
const defaultListen = "127.0.0.1:8080"

// listen opens the address for HTTP. Port 0 is a free one.
func listen(address string) (net.Listener, error) {
	ln, err := net.Listen("tcp", address)
	var opErr *net.AddrError
	var dns *net.DNSError
	switch {
	case err == nil:
		return ln, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, &failure{exitConflict, fmt.Errorf("something else listens on %s already", address),
			"stop it, or choose another address: --listen 127.0.0.1:0 takes a free port"}
	case errors.As(err, &opErr), errors.As(err, &dns):
		return nil, &failure{exitUsage, err, "an address is HOST:PORT, such as 127.0.0.1:8080"}
	}
	return nil, err
}

// urlOf returns where a listener is reached from this machine.
func urlOf(ln net.Listener) string {
	address, ok := ln.Addr().(*net.TCPAddr)
	if ok && address.IP.IsUnspecified() {
		return fmt.Sprintf("http://localhost:%d", address.Port)
	}
	return "http://" + ln.Addr().String()
}
