package tokens

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/pgsql"
	"github.com/57528e99/recount/security"
)

// The errors of Create and Revoke, beside those of the database.
var (
	// ErrInvalid is returned for what no token can have.
	ErrInvalid = eventstore.NewError(eventstore.ClassInvalid, "invalid token")
	// ErrTwoLive is returned by Create if a name has two tokens that are neither revoked nor expired.
	ErrTwoLive = eventstore.NewError(eventstore.ClassConflict, "there are two live tokens of the name already")
	// ErrTooMany is returned by Create if the App has MaxLive live tokens.
	ErrTooMany = eventstore.NewError(eventstore.ClassConflict, "there are too many live tokens")
	// ErrNotFound is returned by Revoke if no token has the id.
	ErrNotFound = eventstore.NewError(eventstore.ClassNotFound, "there is no such token")
)

// MaxLive bounds the live tokens of an App: servers have them all in memory.
const MaxLive = 1000

// maxName bounds the name of a principal, in bytes.
const maxName = 128

// Token is what is known of a token. Its text is not.
type Token struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Roles      []security.Action `json:"roles"`
	Scope      security.Scope    `json:"scope"`
	CreatedAt  time.Time         `json:"created_at"`
	CreatedBy  string            `json:"created_by"`
	ExpiresAt  *time.Time        `json:"expires_at,omitempty"`
	LastUsedAt *time.Time        `json:"last_used_at,omitempty"`
	RevokedAt  *time.Time        `json:"revoked_at,omitempty"`
	RevokedBy  string            `json:"revoked_by,omitempty"`
	// State is live, expired or revoked.
	State string `json:"state"`
}

// New says what token to make.
type New struct {
	// Name is who it is for, as events and operations have it: 1 to 128 bytes. Required.
	Name string
	// Roles and Scope are what it permits. Without any roles they are those of the one live token of the name.
	Roles []security.Action
	Scope security.Scope
	// TTL is for how long; 0: until it is revoked.
	TTL time.Duration
	// By is who makes it.
	By string
}

// check reports the first mistake.
func (n New) check() error {
	switch {
	case n.Name == "" || len(n.Name) > maxName || !utf8.ValidString(n.Name) || strings.ContainsFunc(n.Name, unicode.IsControl):
		return fmt.Errorf("%w: a name has 1 to %d bytes of UTF-8 without control characters", ErrInvalid, maxName)
	case n.TTL < 0:
		return fmt.Errorf("%w: it would have expired already", ErrInvalid)
	case len(n.Roles) == 0 && !n.Scope.IsAll():
		return fmt.Errorf("%w: a scope goes with roles", ErrInvalid)
	}
	for _, role := range n.Roles {
		if !slices.Contains(security.Actions(), role) {
			return fmt.Errorf("%w: there is no role %q; there are %v", ErrInvalid, role, security.Actions())
		}
	}
	if err := n.Scope.Check(); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return nil
}

// Log is the event store that takes the audit events, in a transaction of the caller's.
type Log interface {
	AppendCommit(context.Context, pgx.Tx, []eventstore.StreamAppend, eventstore.AppendOptions) ([]eventstore.Appended, error)
}

// Store is the tokens of an App. It is safe for concurrent use.
type Store struct {
	pool   *pgxpool.Pool
	schema string
	app    string
	log    Log
	known  known
}

// NewStore returns the tokens of an App in a schema.
func NewStore(pool *pgxpool.Pool, schema, app string, log Log) *Store {
	return &Store{pool: pool, schema: schema, app: app, log: log, known: known{reading: make(chan struct{}, 1)}}
}

const (
	columns = `id, name, roles, categories, prefixes, created_at, created_by, expires_at, last_used_at, revoked_at, coalesce(revoked_by, ''),
       CASE WHEN revoked_at IS NOT NULL THEN 'revoked' WHEN expires_at <= clock_timestamp() THEN 'expired' ELSE 'live' END`

	// lockApp lets the tokens of an App be made one after the other. The row in apps is there since the App entered the log.
	lockApp = `SELECT pg_advisory_xact_lock(hashtextextended('tokens of ' || $1, 0))`

	// purgeEnded bounds what there is of an App. What became of each is in the audit.
	purgeEnded = `DELETE FROM {schema}.tokens WHERE app = $1 AND least(revoked_at, expires_at) < clock_timestamp() - interval '30 days'`

	insertToken = `
INSERT INTO {schema}.tokens (id, app, name, hash, roles, categories, prefixes, created_by, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, clock_timestamp() + make_interval(secs => $9))
RETURNING ` + columns

	selectTokens = `SELECT ` + columns + ` FROM {schema}.tokens WHERE app = $1 ORDER BY name, created_at, id`

	revokeToken = `
UPDATE {schema}.tokens SET revoked_at = clock_timestamp(), revoked_by = $3
WHERE app = $1 AND id = $2 AND revoked_at IS NULL
RETURNING ` + columns
)

func (s *Store) sql(statement string) string { return pgsql.In(s.schema, statement) }

// List returns all tokens, by name, those of a name in the order in which they were made.
func (s *Store) List(ctx context.Context) ([]Token, error) { return s.list(ctx, s.pool) }

type querier interface {
	Query(context.Context, string, ...any) (pgx.Rows, error)
}

func (s *Store) list(ctx context.Context, q querier) ([]Token, error) {
	rows, err := q.Query(ctx, s.sql(selectTokens), s.app)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanToken)
}

func scanToken(row pgx.CollectableRow) (t Token, err error) {
	var roles []string
	err = row.Scan(&t.ID, &t.Name, &roles, &t.Scope.Categories, &t.Scope.Prefixes, &t.CreatedAt, &t.CreatedBy, &t.ExpiresAt, &t.LastUsedAt,
		&t.RevokedAt, &t.RevokedBy, &t.State)
	for _, role := range roles {
		t.Roles = append(t.Roles, security.Action(role))
	}
	return t, err
}

// Create makes a token and returns its text, which is had only now. Two of a name may live at once, so that one can be
// put in the place of the other.
func (s *Store) Create(ctx context.Context, n New) (text string, t Token, err error) {
	if err := n.check(); err != nil {
		return "", t, err
	}
	err = s.audited(ctx, TypeTokenCreated, func(tx pgx.Tx) (Token, error) {
		if _, err := tx.Exec(ctx, lockApp, s.schema+"."+s.app); err != nil {
			return t, err
		}
		if _, err := tx.Exec(ctx, s.sql(purgeEnded), s.app); err != nil {
			return t, err
		}
		all, err := s.list(ctx, tx)
		if err != nil {
			return t, err
		}
		all = slices.DeleteFunc(all, func(t Token) bool { return t.State != "live" })
		own := slices.DeleteFunc(slices.Clone(all), func(t Token) bool { return t.Name != n.Name })
		switch {
		case len(own) >= 2:
			return t, ErrTwoLive
		case len(all) >= MaxLive:
			return t, ErrTooMany
		case len(n.Roles) == 0 && len(own) == 0:
			return t, fmt.Errorf("%w: it needs roles, as %q has no live token", ErrInvalid, n.Name)
		case len(n.Roles) == 0:
			n.Roles, n.Scope = own[0].Roles, own[0].Scope
		}
		var id string
		text, id = security.NewToken()
		hash := security.TokenHash(text)
		var seconds *float64
		if n.TTL > 0 {
			ttl := n.TTL.Seconds()
			seconds = &ttl
		}
		roles := make([]string, len(n.Roles))
		for i, role := range n.Roles {
			roles[i] = string(role)
		}
		return s.one(ctx, tx, insertToken, id, s.app, n.Name, hash[:], roles, orEmpty(n.Scope.Categories), orEmpty(n.Scope.Prefixes), n.By, seconds)
	}, &t)
	if err != nil {
		return "", Token{}, err
	}
	return text, t, nil
}

// Revoke ends a token: servers refuse it a second later at most. One that was revoked already stays as it is.
func (s *Store) Revoke(ctx context.Context, id, by string) (t Token, err error) {
	err = s.audited(ctx, TypeTokenRevoked, func(tx pgx.Tx) (Token, error) {
		return s.one(ctx, tx, revokeToken, s.app, id, by)
	}, &t)
	if !errors.Is(err, pgx.ErrNoRows) {
		return t, err
	}
	all, err := s.List(ctx)
	if err != nil {
		return t, err
	}
	for _, t := range all {
		if t.ID == id {
			return t, nil
		}
	}
	return t, ErrNotFound
}

// Purge removes all tokens, of an App that leaves the log.
func (s *Store) Purge(ctx context.Context) error {
	_, err := s.pool.Exec(ctx, s.sql(`DELETE FROM {schema}.tokens WHERE app = $1`), s.app)
	return err
}

func (s *Store) one(ctx context.Context, tx pgx.Tx, statement string, args ...any) (Token, error) {
	rows, err := tx.Query(ctx, s.sql(statement), args...)
	if err != nil {
		return Token{}, err
	}
	return pgx.CollectExactlyOneRow(rows, scanToken)
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{} // not NULL
	}
	return list
}

// AuditStream has events about who may do what: tokens that were made and revoked, and requests that were refused.
const AuditStream = "$audit"

// The types of events in AuditStream. Their data is an Audited, of refusals a Refusal.
const (
	TypeTokenCreated = "$TokenCreated"
	TypeTokenRevoked = "$TokenRevoked"
)

// Audited is what became of a token, and by whom.
type Audited struct {
	App string `json:"app"`
	// By is who did it.
	By        string            `json:"by"`
	ID        string            `json:"id"`
	Name      string            `json:"name"`
	Roles     []security.Action `json:"roles"`
	Scope     security.Scope    `json:"scope"`
	ExpiresAt *time.Time        `json:"expires_at,omitempty"`
}

// audited does something with a token in a transaction, which tells the log of it. Into gets the token.
func (s *Store) audited(ctx context.Context, kind string, do func(pgx.Tx) (Token, error), into *Token) error {
	tx, err := s.pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // does nothing once it is committed
	t, err := do(tx)
	if err != nil {
		return err
	}
	by := t.CreatedBy
	if kind == TypeTokenRevoked {
		by = t.RevokedBy
	}
	data, err := json.Marshal(Audited{s.app, by, t.ID, t.Name, t.Roles, t.Scope, t.ExpiresAt})
	if err != nil {
		return err
	}
	event := eventstore.Event{ID: uuid.Must(uuid.NewV7()), Type: kind, SchemaVersion: 1, Data: data}
	appends := []eventstore.StreamAppend{{Stream: AuditStream, Expected: eventstore.Any, Events: []eventstore.Event{event}}}
	*into = t
	_, err = s.log.AppendCommit(ctx, tx, appends, eventstore.AppendOptions{System: true})
	if kind == TypeTokenRevoked && eventstore.ClassOf(err) == eventstore.ClassAppendsDisabled {
		// A database that was restored has tokens that were revoked since: who adopts it ends them first.
		return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
			*into, err = do(tx)
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("tell the log of it: %w", err)
	}
	return nil
}
