package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/57528e99/recount/shop/onlineretail"
	"github.com/57528e99/recount/shop/sample"
)

// seed loads made-up orders into the server of this process, by way of its commands. They are the
// same on every start, so those that are there already change nothing: by their idempotency keys,
// and once those have expired because the first order, which goes alone, is there.
func (a *app) seed(ctx context.Context, url string, orders int) error {
	var file bytes.Buffer
	if err := sample.Generate(&file, sample.Config{Orders: orders}); err != nil {
		return fmt.Errorf("make orders up: %w", err)
	}
	book, err := onlineretail.Read(&file)
	if err != nil {
		return fmt.Errorf("read made-up orders: %w", err)
	}
	_, err = a.load(ctx, onlineretail.Config{Server: url, KeyPrefix: "sample"}, "seed", book)
	var refused *onlineretail.RefusedError
	switch {
	case errors.As(err, &refused) && refused.Problem.Code == "order-exists":
		fmt.Fprintln(a.stderr, "seed: the made-up orders are there already")
		return nil
	case errors.As(err, &refused):
		err = &failure{exitConflict, err, "were other orders made up here before? begin anew with --fresh or another --data, or keep to the same --seed-orders"}
	}
	if err != nil && exitCode(err) != exitInterrupted {
		return fmt.Errorf("load made-up orders: %w", err)
	}
	return nil
}
