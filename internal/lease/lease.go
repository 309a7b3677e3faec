// Package lease gives one process at a time the right to work on a row of a table. The row has the
// columns owner (text), epoch (bigint) and lease_expires_at (timestamptz) beside what the work
// moves, such as a checkpoint, so that one UPDATE moves both.
//
// A lease is lost without notice: another process takes it when it has expired, with a higher
// epoch. So every write of an owner compares the epoch in its own transaction (Lease.Fence), and
// what is committed under an old epoch never takes effect. Times are those of the database's clock.
package lease

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/57528e99/recount/internal/pgerr"
	"github.com/57528e99/recount/internal/pgsql"
)

// MaxTTL bounds for how long a lease may be taken.
const MaxTTL = time.Minute

var (
	// ErrTaken is returned by Acquire: another owner has the lease, or the row is not to be worked on.
	ErrTaken = errors.New("the lease is another's")
	// ErrLost is returned by an owner's statement: the lease is no longer its own.
	ErrLost = errors.New("the lease is lost")
)

// IsAway reports whether an error says that the lease is not, or no longer, with the caller.
func IsAway(err error) bool {
	return errors.Is(err, ErrTaken) || errors.Is(err, ErrLost) || IsFenced(err)
}

// IsFenced reports whether a transaction was ended by Fence.
func IsFenced(err error) bool { return pgerr.Is(err, pgerr.Fenced) }

// Free is the condition that nobody has the lease of a row. One that expires later than any may was
// written before the server's clock was set back: its owner may be gone, and would be waited for
// until the clock is there again. The epoch keeps an owner that is not gone from writing.
var Free = fmt.Sprintf(
	`(owner IS NULL OR lease_expires_at NOT BETWEEN clock_timestamp() AND clock_timestamp() + interval '%d seconds')`,
	int(MaxTTL.Seconds()))

// Owner is the expression for who has the lease of a row, empty if nobody has.
var Owner = `CASE WHEN ` + Free + ` THEN '' ELSE owner END`

// Clear is what sets a row free in an UPDATE.
const Clear = `owner = NULL, lease_expires_at = NULL`

// statementTimeout bounds what takes milliseconds, also on a connection whose server has vanished.
const statementTimeout = 5 * time.Second

// DB is a pool, a connection or a transaction.
type DB interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// Table is a table whose rows are leased.
type Table struct {
	// Schema is the schema of the table, which stands as {schema} in Name and in a Clause.
	Schema string
	// Name is the name of the table, as the text of a statement has it.
	Name string
	// Key are the columns that name a row.
	Key []string
	// Reentrant lets an owner take a lease that it has already, with another epoch: for owners who
	// begin again after a write of unknown outcome. A write of before is either done by now, or is
	// fenced.
	Reentrant bool
}

// Clause is what a statement does besides what the lease needs: more to set, another condition,
// more to return. Its parameters are numbered behind those of the lease: with a key of n columns,
// from n+3 on for Acquire, Renew and Fence, from n+2 on for Update.
type Clause struct {
	Set, Where, Returning string
	Args                  []any
}

// update returns an UPDATE of the row whose key is in the first parameters.
func (t Table) update(set, where string, c Clause) string {
	var b strings.Builder
	fmt.Fprintf(&b, "UPDATE %s\nSET %s", t.Name, set)
	if c.Set != "" {
		fmt.Fprintf(&b, ", %s", c.Set)
	}
	for i, column := range t.Key {
		word := "AND"
		if i == 0 {
			word = "WHERE"
		}
		fmt.Fprintf(&b, "\n%s %s = $%d", word, column, i+1)
	}
	fmt.Fprintf(&b, "\nAND %s", where)
	if c.Where != "" {
		fmt.Fprintf(&b, "\nAND %s", c.Where)
	}
	return b.String()
}

// Lease is the lease of a row as its owner knows it: it may be lost at any time.
type Lease struct {
	Table Table
	Key   []any
	Owner string
	TTL   time.Duration
	Epoch int64
}

// Acquire takes the lease of a row if it is free and the row meets c, and scans what c returns.
// Else the error is ErrTaken.
func (t Table) Acquire(ctx context.Context, db DB, key []any, owner string, ttl time.Duration, c Clause, into ...any) (Lease, error) {
	free := Free
	if t.Reentrant {
		free = fmt.Sprintf("(owner = $%d OR %s)", len(key)+1, Free)
	}
	return t.take(ctx, db, free, key, owner, ttl, c, into...)
}

// Seize takes the lease of a row from whoever has it. What that owner has not committed by now it
// cannot any more.
func (t Table) Seize(ctx context.Context, db DB, key []any, owner string, ttl time.Duration, c Clause, into ...any) (Lease, error) {
	return t.take(ctx, db, "true", key, owner, ttl, c, into...)
}

func (t Table) take(ctx context.Context, db DB, where string, key []any, owner string, ttl time.Duration, c Clause, into ...any) (Lease, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	l := Lease{Table: t, Key: key, Owner: owner, TTL: ttl}
	set := fmt.Sprintf("owner = $%d, epoch = epoch + 1, lease_expires_at = clock_timestamp() + $%d::interval", len(key)+1, len(key)+2)
	sql := t.update(set, where, c) + "\nRETURNING epoch"
	if c.Returning != "" {
		sql += ", " + c.Returning
	}
	err := db.QueryRow(ctx, pgsql.In(t.Schema, sql), slices.Concat(key, []any{owner, ttl}, c.Args)...).Scan(append([]any{&l.Epoch}, into...)...)
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrTaken
	}
	return l, err
}

// extend returns the statement that extends the lease, and its parameters.
func (l Lease) extend(c Clause) (sql string, args []any) {
	n := len(l.Key)
	sql = l.Table.update(fmt.Sprintf("lease_expires_at = clock_timestamp() + $%d::interval", n+2), fmt.Sprintf("epoch = $%d", n+1), c)
	return sql, slices.Concat(l.Key, []any{l.Epoch, l.TTL}, c.Args)
}

// Renew extends the lease and scans what c returns, or returns ErrLost.
func (l Lease) Renew(ctx context.Context, db DB, c Clause, into ...any) error {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	sql, args := l.extend(c)
	err := db.QueryRow(ctx, pgsql.In(l.Table.Schema, sql+"\nRETURNING "+c.Returning), args...).Scan(into...)
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrLost
	}
	return err
}

// Fence returns the statement, and its parameters, that extends the lease within a transaction, and
// ends the transaction with an error (IsFenced) if the lease is lost or the row does not meet c.
//
// It comes last in its transaction: whoever wants to take the lease waits for the row, and a
// process that freezes while it writes does not hold it.
func (l Lease) Fence(c Clause) (sql string, args []any) {
	sql, args = l.extend(c)
	return pgsql.In(l.Table.Schema, "WITH held AS (\n"+sql+"\nRETURNING 1)\n"+
		`SELECT CASE WHEN count(*) = 0 THEN {schema}.lease_lost() END FROM held`), args
}

// Update changes the row if the lease holds and the row meets c, else it returns ErrLost. It does
// not extend the lease.
func (l Lease) Update(ctx context.Context, db DB, c Clause) error {
	sql := l.Table.update(c.Set, fmt.Sprintf("epoch = $%d", len(l.Key)+1), Clause{Where: c.Where})
	tag, err := db.Exec(ctx, pgsql.In(l.Table.Schema, sql), slices.Concat(l.Key, []any{l.Epoch}, c.Args)...)
	if err == nil && tag.RowsAffected() == 0 {
		err = ErrLost
	}
	return err
}

// Released is what a notification begins with, on the channel of the log in the schema, that says
// that a lease was given back; the first column of the row's key follows.
const Released = "- lease "

// Release gives the lease back, with what c changes besides, and notifies those who wait for it, so
// that one takes it at once. One that is lost is no error.
func (l Lease) Release(ctx context.Context, db DB, c Clause) error {
	n := len(l.Key)
	set := Clear
	if c.Set != "" {
		set += ", " + c.Set
	}
	sql := "WITH released AS (\n" + l.Table.update(set, fmt.Sprintf("epoch = $%d", n+1), Clause{Where: c.Where}) + "\nRETURNING 1)\n" +
		fmt.Sprintf("SELECT pg_notify($%d, $%d) FROM released", n+2+len(c.Args), n+3+len(c.Args))
	_, err := db.Exec(ctx, pgsql.In(l.Table.Schema, sql), slices.Concat(l.Key, []any{l.Epoch}, c.Args,
		[]any{pgsql.Channel(l.Table.Schema), Released + fmt.Sprint(l.Key[0])})...)
	return err
}

// Keep calls renew at every third of a lease's time, until stop is called, which waits for its end,
// or until renew returns an error: that is then the cause why the context returned ends. What may
// pass, such as a lost connection, renew keeps to itself: the next try or the next write will tell
// whether it matters.
func Keep(ctx context.Context, ttl time.Duration, renew func(context.Context) error) (held context.Context, stop func()) {
	held, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(ttl / 3)
		defer ticker.Stop()
		for {
			select {
			case <-held.Done():
				return
			case <-ticker.C:
			}
			if err := renew(held); err != nil && held.Err() == nil {
				cancel(err)
				return
			}
		}
	}()
	return held, func() { cancel(nil); <-ended }
}
