package cli

import (
	"errors"
	"net/http"
	"net/url"
	"regexp"
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

// headerFlag is a flag that adds a header to requests, and may be repeated. The environment has a line
// for each. What they are is not shown, for it may be a secret.
type headerFlag http.Header

// String implements pflag.Value.
func (h headerFlag) String() string { return "" }

// Type implements pflag.Value. The help shows it.
func (h headerFlag) Type() string { return "NAME=VALUE" }

// header is one that HTTP can send.
var header = regexp.MustCompile("^([!#$%&'*+.^_`|~0-9A-Za-z-]+)=([^\\x00-\\x08\\x0a-\\x1f\\x7f]*)$")

// Set implements pflag.Value.
func (h headerFlag) Set(lines string) error {
	for line := range strings.Lines(lines) {
		m := header.FindStringSubmatch(strings.TrimRight(line, "\r\n"))
		if m == nil {
			return errors.New("must be NAME=VALUE, as in X-Forwarded-User=ann")
		}
		http.Header(h).Add(m[1], m[2])
	}
	return nil
}
