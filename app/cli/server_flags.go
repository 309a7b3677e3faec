package cli

import (
	"errors"
	"net/url"
	"strings"

	"github.com/spf13/pflag"
)

// ServerFlag gives a command the flag that says which server to ask.
func ServerFlag(flags *pflag.FlagSet, address *string, usage string) {
	*address = "http://" + defaultListen
	flags.Var((*serverAddress)(address), "server", usage)
	FromEnv(flags, "server")
}

// serverAddress is a flag that takes the address of a running server.
type serverAddress string

// String implements pflag.Value.
func (s *serverAddress) String() string { return string(*s) }

// Type implements pflag.Value. The help shows it.
func (s *serverAddress) Type() string { return "URL" }

// Set implements pflag.Value.
func (s *serverAddress) Set(value string) error {
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("must be the address of a server, like http://" + defaultListen)
	}
	*s = serverAddress(strings.TrimSuffix(value, "/"))
	return nil
}
