package projections

import (
	"testing"
	"time"
)

func TestAFoldFollowsTheLog(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := newAccounts(1)
	b.append("account-1", opened{Owner: ptr("ann"), At: time.Now()}, deposited{Amount: 5, Note: "a"})
	b.start(b.runner(f))
	b.append("account-2", deposited{Amount: 7, Note: "b"})
	b.append("account-2", transferred{To: []string{"1", "3", "3"}, Amount: 2})
	at := b.append("account-1", deposited{Amount: 1})
	s := b.reaches("accounts", Running, at.Position)
	t.Logf("%+v", s)
	t.Logf("%+v", b.rows(f, s.Table))
}
