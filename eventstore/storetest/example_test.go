package storetest_test

import (
	"testing"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/memstore"
	"github.com/57528e99/recount/eventstore/storetest"
)

// A store's own test calls Run with a function that makes an empty store.
func ExampleRun() {
	_ = func(t *testing.T) { // func TestStore
		storetest.Run(t, func(t *testing.T) eventstore.Store {
			return memstore.New(memstore.Config{})
		})
	}
}
