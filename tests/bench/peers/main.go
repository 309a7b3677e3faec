package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/57528e99/recount/tests/bench"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	progress := func(what string) { fmt.Fprintln(os.Stderr, what) }
	if err := bench.Serve(ctx, os.Stdin, os.Stdout, progress, version(""), peers()); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// peers are the stores to compare with, all that there are.
func peers() []bench.Peer {
	return []bench.Peer{messageDB(), messageDBCategories(), hallgren(), aneshas(), goes()}
}

// version returns the version of a module that this program is built with, "" being its own.
func version(module string) string {
	info, _ := debug.ReadBuildInfo()
	if info == nil {
		return ""
	}
	if module == "" {
		return info.Main.Version
	}
	for _, m := range info.Deps {
		if m.Path == module {
			return m.Version
		}
	}
	return ""
}
