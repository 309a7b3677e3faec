package storetest_test

import (
	"testing"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/memstore"
	"github.com/57528e99/recount/eventstore/storetest"
)

func TestMemstore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) eventstore.Store {
		s := memstore.New(memstore.Config{})
		t.Cleanup(func() { _ = s.Close(t.Context()) })
		return s
	})
}
