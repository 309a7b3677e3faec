package main

import (
	"github.com/spf13/cobra"

	"github.com/57528e99/recount/operations"
	"github.com/57528e99/recount/shop"
)

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
