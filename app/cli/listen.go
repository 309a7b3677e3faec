package cli

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/spf13/pflag"
)

// defaultListen is where servers listen, and clients look for one.
const defaultListen = "127.0.0.1:8080"

// defaultAdmin is where operators are served: metrics, profiles.
const defaultAdmin = "127.0.0.1:8081"

// noAdmin is the address that says that operators are not served.
const noAdmin = "off"

// adminFlag gives a server the flag that says where operators are served.
func adminFlag(flags *pflag.FlagSet, address *string) {
	flags.StringVar(address, "admin", defaultAdmin,
		"address for operators: /metrics and /debug/pprof; off: none. Keep it from the public")
	FromEnv(flags, "admin")
}

// listenBoth opens the address for HTTP, and that for operators as listenAdmin does.
func listenBoth(address, admin string, adminAsked bool) (net.Listener, net.Listener, error) {
	ln, err := listen(address, "--listen")
	if err != nil {
		return nil, nil, err
	}
	adminLn, err := listenAdmin(admin, adminAsked)
	if err != nil {
		return nil, nil, errors.Join(err, ln.Close())
	}
	return ln, adminLn, nil
}

// closeListeners closes those that are open. Of one that was served this changes nothing.
func closeListeners(all ...net.Listener) {
	for _, ln := range all {
		if ln != nil {
			_ = ln.Close()
		}
	}
}

// listenAdmin opens the address for operators; nil: they are not served. Where the default address
// is taken, by another server on the machine, a free port will do, unless that address was asked
// for.
func listenAdmin(address string, asked bool) (net.Listener, error) {
	if address == noAdmin {
		return nil, nil
	}
	ln, err := listen(address, "--admin")
	if !asked && ExitCode(err) == ExitConflict {
		return listen("127.0.0.1:0", "--admin")
	}
	return ln, err
}

// listen opens the address that a flag says. Port 0 is a free one.
func listen(address, flag string) (net.Listener, error) {
	ln, err := net.Listen("tcp", address)
	var form *net.AddrError
	var dns *net.DNSError
	switch {
	case err == nil:
		return ln, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, &Failure{ExitConflict, fmt.Errorf("something else listens on %s already", address),
			"stop it, or choose another address: " + flag + " 127.0.0.1:0 takes a free port"}
	case errors.As(err, &form), errors.As(err, &dns):
		return nil, noAddress(err)
	}
	return nil, err
}

// checkAddress reports an address that cannot be one, whatever the machine's are.
func checkAddress(address string) error {
	if _, _, err := net.SplitHostPort(address); err != nil {
		return noAddress(err)
	}
	return nil
}

func noAddress(err error) error {
	return &Failure{ExitUsage, err, "an address is HOST:PORT, such as " + defaultListen}
}

// urlOf returns where a listener is reached from this machine; "" for none.
func urlOf(ln net.Listener) string {
	if ln == nil {
		return ""
	}
	address, ok := ln.Addr().(*net.TCPAddr)
	if ok && address.IP.IsUnspecified() {
		return fmt.Sprintf("http://localhost:%d", address.Port)
	}
	return "http://" + ln.Addr().String()
}
