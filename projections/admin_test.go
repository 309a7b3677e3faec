package projections

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/operations"
)

func TestPauseHoldsTheCheckpointUntilResume(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.start(b.runner(newAccounts(1)))
	first := b.append("account-1", deposited{Amount: 1})
	b.arrives(r, "accounts", first)
	for range 2 { // twice is no error
		if err := b.admin.Pause(t.Context(), "accounts", "", "test"); err != nil {
			t.Fatal(err)
		}
	}
	// From now on nothing may be applied, even by a runner that has not heard of it yet.
	end := b.append("account-1", deposited{Amount: 2})
	b.letGo("accounts")
	if s := b.status("accounts"); s.State != operations.Paused || s.Position != first.Position || s.LagEvents != 1 {
		t.Errorf("status is %+v, want paused at position %d, one behind", s, first.Position)
	}
	for range 2 {
		if err := b.admin.Resume(t.Context(), "accounts", "", "test"); err != nil {
			t.Fatal(err)
		}
	}
	b.reaches("accounts", operations.Running, end.Position)
	if all, err := b.admin.Audit(t.Context(), "accounts"); err != nil || len(all) != 2 || all[0].Action != "resume" || all[1].Action != "pause" {
		t.Errorf("the audit is %+v, %v, want what changed anything, once each", all, err)
	}
}

func TestAPausedProjectionIsLetGoWithoutEvents(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.start(b.runner(newAccounts(1)))
	b.arrives(r, "accounts", eventstore.Token{})
	if err := b.admin.Pause(t.Context(), "accounts", "", "test"); err != nil {
		t.Fatal(err)
	}
	b.letGo("accounts")
}

// letGo waits until no process has a projection.
func (b *bench) letGo(projection string) {
	b.Helper()
	b.eventually(func() error {
		if s := b.status(projection); s.Owner != "" {
			return fmt.Errorf("%s still has it", s.Owner)
		}
		return nil
	})
}

func TestTheAdminSaysWhatItCannotDo(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.start(b.runner(newAccounts(1)))
	ctx := t.Context()
	if err := b.admin.Pause(ctx, "nope", "", "test"); !errors.Is(err, ErrNotFound) {
		t.Errorf("Pause = %v, want ErrNotFound", err)
	}
	if err := b.admin.Resume(ctx, "nope", "", "test"); !errors.Is(err, ErrNotFound) {
		t.Errorf("Resume = %v, want ErrNotFound", err)
	}
	if _, err := b.admin.Show(ctx, "nope"); !errors.Is(err, ErrNotFound) {
		t.Errorf("Show = %v, want ErrNotFound", err)
	}
	if _, err := b.admin.Skip(ctx, "nope", 0, "reason", "me"); !errors.Is(err, ErrNotFound) {
		t.Errorf("Skip = %v, want ErrNotFound", err)
	}
	if _, err := b.admin.Skip(ctx, "accounts", 0, "reason", "me"); !errors.Is(err, ErrNotFailed) {
		t.Errorf("Skip = %v, want ErrNotFailed", err)
	}
	if _, err := b.admin.Skip(ctx, "accounts", 0, "", "me"); err == nil || !strings.Contains(err.Error(), "reason must say why") {
		t.Errorf("Skip = %v, want that a reason is needed", err)
	}
	b.append("account-1", deposited{Note: "refuse"})
	b.reaches("accounts", operations.Failed, 0)
	if _, err := b.admin.Skip(ctx, "accounts", 7, "reason", "me"); !errors.Is(err, ErrNotFailed) || !strings.Contains(err.Error(), "at position 7: it stopped at 1") {
		t.Errorf("Skip of another position = %v, want ErrNotFailed and where it stopped", err)
	}
}

func TestLagIsTheAgeOfTheOldestEventLeft(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.start(b.runner(newAccounts(1)))
	b.arrives(r, "accounts", b.append("account-1", deposited{}))
	b.stop(r)
	b.append("account-1", deposited{}, deposited{})
	s := b.reaches("accounts", operations.NoOwner, 1)
	if s.LagEvents != 2 || s.LagSeconds != s.Lag.Seconds() || s.LastEventAt == nil || s.LastEventAt.After(time.Now()) {
		t.Errorf("status is %+v, want two events behind", s)
	}
	b.eventually(func() error {
		if s := b.status("accounts"); s.Lag < 20*time.Millisecond {
			return fmt.Errorf("the lag is %s, want it to grow", s.Lag)
		}
		return nil
	})
}

func TestStatesByWhatIsKnown(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status Status
		paused bool
		want   operations.State
	}{
		{Status{Current: true}, false, operations.NoOwner},
		{Status{}, false, BeingBuilt},
		{Status{}, true, operations.Paused},
		{Status{Owner: "a", Failure: &operations.Failure{}}, true, operations.Failed},
		{Status{Owner: "a"}, false, operations.Running},
		{Status{Owner: "a", Lag: time.Minute}, false, operations.CatchingUp},
		{Status{Owner: "a", Trouble: &operations.Trouble{}}, false, operations.Retrying},
	} {
		if c.status.setState(c.paused); c.status.State != c.want {
			t.Errorf("%+v is %q, want %q", c.status, c.status.State, c.want)
		}
	}
}

func TestStatusAsJSON(t *testing.T) {
	t.Parallel()
	s := Status{Projection: "accounts", State: operations.Running, Digest: eventstore.Digest{}.Add(1, [16]byte{1})}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"projection":"accounts"`, `"state":"running"`, `"lag_seconds":0`, `"digest":"` + s.Digest.String() + `"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("JSON is %s, want %s in it", text, want)
		}
	}
}
