package pgstore_test

import (
	"testing"
	"time"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/eventstore/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) eventstore.Store { return open(t, newLog(t)) })
}

// Two stores on one log are two processes: neither may rely on what it
// remembers while the other appends.
func TestStoreBesideAnother(t *testing.T) {
	storetest.Run(t, func(t *testing.T) eventstore.Store {
		db := newLog(t)
		return &alternating{Store: open(t, db), other: open(t, db)}
	})
}

// Without LISTEN and NOTIFY polling finds everything.
func TestStoreWithoutNotifications(t *testing.T) {
	storetest.Run(t, func(t *testing.T) eventstore.Store {
		db := newLog(t)
		quiet := func(c *pgstore.Config) { c.NoListen, c.PollInterval = true, 5*time.Millisecond }
		return &alternating{Store: open(t, db, quiet), other: open(t, db, quiet)}
	})
}
