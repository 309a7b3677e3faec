package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/operations"
)

// failedFor returns an error that names the projections, of so many, for which something failed.
func (prog *Program) failedFor(what string, of int, names []string, failed []error) error {
	switch {
	case len(failed) == 0:
		return nil
	case of == 1:
		return failed[0]
	}
	return &Failure{ExitCode(failed[0]), fmt.Errorf("%s failed for %d of %d projections: %s\n%w", what, len(failed), of,
		strings.Join(names, ", "), errors.Join(failed...)), prog.hintFor(failed[0])}
}

// namesOrAll returns the projections that a command is for: all read models, or the one that is
// named.
func (prog *Program) namesOrAll(cmd *cobra.Command, args []string, all bool) ([]string, error) {
	if !all {
		return args, OneArg("projection")(cmd, args)
	}
	if len(args) > 0 {
		return nil, UsageError(cmd, "name a projection or pass --all, not both")
	}
	var names []string
	for _, p := range prog.App.Projections() {
		names = append(names, p.Name())
	}
	return names, nil
}

// requestsFor returns a request for each name.
func requestsFor(kind operations.Kind, names []string, o operations.Options) []operations.Request {
	requests := make([]operations.Request, len(names))
	for i, name := range names {
		requests[i] = operations.Request{Kind: kind, Subject: name, Options: o}
	}
	return requests
}
