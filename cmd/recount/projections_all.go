package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/operations"
	"github.com/57528e99/recount/shop"
)

// failedFor returns an error that names the projections, of so many, for which something failed.
func failedFor(what string, of int, names []string, failed []error) error {
	switch {
	case len(failed) == 0:
		return nil
	case of == 1:
		return failed[0]
	}
	return &failure{exitCode(failed[0]), fmt.Errorf("%s failed for %d of %d projections: %s\n%w", what, len(failed), of,
		strings.Join(names, ", "), errors.Join(failed...)), hintFor(failed[0])}
}

// namesOrAll returns the projections that a command is for: all read models, or the one that is named.
func namesOrAll(cmd *cobra.Command, args []string, all bool) ([]string, error) {
	if !all {
		return args, oneArg("projection")(cmd, args)
	}
	if len(args) > 0 {
		return nil, usageError(cmd, "name a projection or pass --all, not both")
	}
	var names []string
	for _, p := range shop.Projections() {
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
