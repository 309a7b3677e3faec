package tokens_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/security"
	"github.com/57528e99/recount/security/tokens"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// log commits, and has nothing of events.
type log struct{ err error }

func (l log) AppendCommit(ctx context.Context, tx pgx.Tx, _ []eventstore.StreamAppend, _ eventstore.AppendOptions) ([]eventstore.Appended, error) {
	if l.err != nil {
		return nil, errors.Join(l.err, tx.Rollback(ctx))
	}
	return nil, tx.Commit(ctx)
}

// why returns the reason why nobody is known by a token.
func why(err error) string {
	var unknown *security.Unauthenticated
	if errors.As(err, &unknown) {
		return unknown.Reason
	}
	return fmt.Sprint(err)
}

// TestTokensEnd: one that has expired is refused though it was known, one that was revoked while the log takes no appends too.
func TestTokensEnd(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	store := tokens.NewStore(db.Pool, db.Schema, "shop", log{})
	roles := []security.Action{security.Read}
	short, made, err := store.Create(t.Context(), tokens.New{Name: "ann", Roles: roles, TTL: time.Minute, By: "me"})
	if err != nil || made.State != "live" || made.ExpiresAt == nil {
		t.Fatalf("Create = %+v, %v", made, err)
	}
	long, other, err := store.Create(t.Context(), tokens.New{Name: "ann", By: "me"})
	if err != nil || len(other.Roles) != 1 || other.ExpiresAt != nil {
		t.Fatalf("Create of the second = %+v, %v", other, err)
	}
	if p, err := store.Verify(t.Context(), short); err != nil || p.Name != "ann" || p.Token != made.ID || !p.Has(security.Read) || p.Has(security.Append) {
		t.Fatalf("Verify = %+v, %v", p, err)
	}
	if _, err := tokens.NewStore(db.Pool, db.Schema, "another", log{}).Verify(t.Context(), short); why(err) != security.ReasonUnknown {
		t.Errorf("Verify of the token of another App = %v", err)
	}
	if _, _, err := store.Create(t.Context(), tokens.New{Name: "ann", Roles: roles}); !errors.Is(err, tokens.ErrTwoLive) {
		t.Errorf("Create of a third = %v", err)
	}
	if _, err := db.Pool.Exec(t.Context(), `UPDATE `+db.Schema+`.tokens SET expires_at = clock_timestamp() WHERE id = $1`, made.ID); err != nil {
		t.Fatal(err)
	}
	refused := func(text, reason string) {
		t.Helper()
		begun := time.Now()
		for ; ; time.Sleep(5 * time.Millisecond) {
			_, err := store.Verify(t.Context(), text)
			if why(err) == reason {
				return
			}
			if time.Since(begun) > 10*time.Second {
				if reason == security.ReasonExpired {
					fmt.Printf("caught\t%s\t0\ta token that has expired lets nobody in\n", t.Name())
				}
				t.Fatalf("Verify = %v, want %s", err, reason)
			}
		}
	}
	refused(short, security.ReasonExpired)
	if _, _, err := store.Create(t.Context(), tokens.New{Name: "ann", Roles: roles, TTL: time.Hour}); err != nil {
		t.Errorf("Create where one of two has expired = %v", err)
	}
	disabled := tokens.NewStore(db.Pool, db.Schema, "shop", log{eventstore.NewError(eventstore.ClassAppendsDisabled, "not adopted")})
	if _, _, err := disabled.Create(t.Context(), tokens.New{Name: "eve", Roles: roles}); err == nil {
		t.Error("a token was made of which no event could tell")
	}
	if done, err := disabled.Revoke(t.Context(), other.ID, "me"); err != nil || done.State != "revoked" || done.RevokedBy != "me" {
		t.Errorf("Revoke = %+v, %v", done, err)
	}
	if done, err := store.Revoke(t.Context(), other.ID, "you"); err != nil || done.RevokedBy != "me" {
		t.Errorf("Revoke again = %+v, %v", done, err)
	}
	refused(long, security.ReasonRevoked)
	if all, err := store.List(t.Context()); err != nil || len(all) != 3 {
		t.Errorf("List = %+v, %v", all, err)
	}
	// What ended long ago is not kept for ever.
	if _, err := db.Pool.Exec(t.Context(), `UPDATE `+db.Schema+`.tokens SET expires_at = clock_timestamp() - interval '31 days' WHERE id = $1`, made.ID); err != nil {
		t.Fatal(err)
	}
	refused(short, security.ReasonUnknown)
	if _, _, err := store.Create(t.Context(), tokens.New{Name: "bob", Roles: roles}); err != nil {
		t.Fatal(err)
	}
	if all, err := store.List(t.Context()); err != nil || len(all) != 3 || slices.ContainsFunc(all, func(t tokens.Token) bool { return t.ID == made.ID }) {
		t.Errorf("List = %+v, %v", all, err)
	}
}

// slowReads makes reads of the tokens take longer than they are good for, the first until release is closed, and counts them.
type slowReads struct {
	atomic.Int64
	release chan struct{}
}

// TraceQueryStart implements pgx.QueryTracer.
func (r *slowReads) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	if strings.Contains(q.SQL, "SELECT id, name, hash") {
		if r.Add(1) == 1 {
			<-r.release
		}
		time.Sleep(600 * time.Millisecond)
	}
	return ctx
}

// TraceQueryEnd implements pgx.QueryTracer.
func (*slowReads) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TestManyWaitForOneRead: where it takes long to read the tokens, those who wait for that do not read them one after the other.
func TestManyWaitForOneRead(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	config := db.Pool.Config()
	slow := &slowReads{release: make(chan struct{})}
	config.ConnConfig.Tracer = slow
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	store := tokens.NewStore(pool, db.Schema, "shop", log{})
	text, _, err := store.Create(t.Context(), tokens.New{Name: "ann", Roles: []security.Action{security.Read}})
	if err != nil {
		t.Fatal(err)
	}
	const many = 16
	var begun, ended sync.WaitGroup
	begun.Add(many)
	for range many {
		ended.Go(func() {
			begun.Done()
			if _, err := store.Verify(t.Context(), text); err != nil {
				t.Errorf("Verify = %v", err)
			}
		})
	}
	begun.Wait()
	for slow.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := store.Verify(impatient, text); !errors.Is(err, context.Canceled) {
		t.Errorf("Verify of who waits no longer = %v", err)
	}
	close(slow.release)
	ended.Wait()
	if n := slow.Load(); n > 4 {
		t.Errorf("%d asked at once, and the tokens were read %d times", many, n)
	}
}

// BenchmarkAuthorize is what it costs a request to be let in: to know whose token it has, and to decide.
func BenchmarkAuthorize(b *testing.B) {
	db := pgtest.New(b)
	store := tokens.NewStore(db.Pool, db.Schema, "shop", log{})
	text, _, err := store.Create(b.Context(), tokens.New{Name: "ann", Roles: []security.Action{security.Read}, Scope: security.Scope{Categories: []string{"order"}}})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		p, err := store.Verify(b.Context(), text)
		if err == nil {
			err = security.ByRole{}.Authorize(p, security.Read, security.Resource{Stream: "order-1"})
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
