package pgstore_test

import (
	"testing"
	"time"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/eventstore/storetest"
	"github.com/57528e99/recount/internal/pgtest"
)

// patient lets appends wait for a machine that has too much to do.
func patient(c *pgstore.Config) { c.RetryTimeout = time.Minute }

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) eventstore.Store { return open(t, newLog(t), patient) })
}

// Two stores on one log are two processes: neither may rely on what it
// remembers while the other appends.
func TestStoreBesideAnother(t *testing.T) {
	storetest.Run(t, func(t *testing.T) eventstore.Store {
		db := newLog(t)
		return &alternating{Store: open(t, db, patient), other: open(t, db, patient)}
	})
}

// Without LISTEN and NOTIFY polling finds everything.
func TestStoreWithoutNotifications(t *testing.T) {
	if pgtest.HasPooler() {
		t.Skip("so does TestStoreBehindATransactionPooler")
	}
	storetest.Run(t, func(t *testing.T) eventstore.Store {
		db := newLog(t)
		quiet := func(c *pgstore.Config) { c.NoListen, c.PollInterval = true, 5*time.Millisecond }
		return &alternating{Store: open(t, db, quiet, patient), other: open(t, db, quiet, patient)}
	})
}
