package cli

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/spf13/pflag"

	"github.com/57528e99/recount/app"
)

// authentication says how a server finds out who sends requests.
type authentication struct {
	by        *Choice
	insecure  bool
	perSecond int
}

// authTokens is the value of --auth for tokens of the command tokens.
const authTokens = "tokens"

// authFlags gives a server the flags for who may come in.
func authFlags(flags *pflag.FlagSet) *authentication {
	a := &authentication{by: NewChoice("none", authTokens)}
	flags.Var(a.by, "auth", "what requests must have: none, or tokens, which {program} tokens create makes")
	FromEnv(flags, "auth")
	flags.BoolVar(&a.insecure, "insecure", false, "serve anybody who reaches the address, though it is not loopback and nothing says who they are")
	FromEnv(flags, "insecure")
	flags.IntVar(&a.perSecond, "rate-limit", 0, "how many requests a second each principal of --auth tokens may send to this process; 0: any number")
	FromEnv(flags, "rate-limit")
	return a
}

// set makes the options ask for what the flags say.
func (a *authentication) set(o *app.Options, described app.App) error {
	o.RequireTokens, o.RateLimit = a.by.value == authTokens, a.perSecond
	if a.perSecond < 0 || a.perSecond > 0 && !o.RequireTokens {
		return &Failure{ExitUsage, errors.New("--rate-limit must not be negative, and needs --auth tokens"), "leave it out"}
	}
	if o.RequireTokens && described.Actor != nil {
		return &Failure{ExitUsage, errors.New("--auth tokens is not for this program: it finds out by itself who sends requests"), "leave --auth out"}
	}
	return nil
}

// guard refuses an address that others than this machine reach, by a proxy that sends on what is for one of hosts too, where nobody is asked
// who they are.
func (a *authentication) guard(address net.Addr, described app.App, hosts ...string) error {
	tcp, ok := address.(*net.TCPAddr)
	here := ok && tcp.IP.IsLoopback()
	if a.insecure || a.by.value == authTokens || described.Actor != nil || here && len(hosts) == 0 {
		return nil
	}
	way := fmt.Sprintf("--listen %v would let anybody in who reaches this machine", address)
	if here {
		way = fmt.Sprintf("--allow-hosts %s would let anybody in whose requests are sent on here", strings.Join(hosts, ","))
	}
	return &Failure{ExitUsage, errors.New(way + ": nothing says who sends requests"),
		"--auth tokens asks for tokens, which {program} tokens create makes; --listen 127.0.0.1:PORT without --allow-hosts is for this machine alone; " +
			"--insecure lets everybody in, for a network or a proxy that keeps others out"}
}

// guardEarly is guard before anything else is done, as far as the address can be told by then.
func (a *authentication) guardEarly(address string, described app.App, hosts ...string) error {
	resolved, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil // which listen reports
	}
	return a.guard(resolved, described, hosts...)
}

// tokenVariable has the token that the program sends to servers: on a command line everybody could read it.
const tokenVariable = "{PROGRAM}_TOKEN"

// token returns the token to send to a server: of a file, or of the environment; "": none.
func (prog *Program) token(file string) (string, error) {
	text, place := prog.getenv(tokenVariable)
	if file != "" {
		place = file
		var err error
		if text, err = readKey(file); err != nil {
			return "", &Failure{ExitUsage, fmt.Errorf("read the token: %w", err), ""}
		}
		if text == "" {
			return "", &Failure{ExitUsage, fmt.Errorf("%s has no token in it", file), ""}
		}
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", &Failure{ExitUsage, fmt.Errorf("%s: this is no token", place), "{program} tokens create prints one"}
	}
	return text, nil
}
