package pgstore

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/background"
	"github.com/57528e99/recount/internal/pgsql"
)

// Outbox is a table of somebody else's in the database of the log, whose rows are events to append: see Relay. Names of columns are as in the
// table.
type Outbox struct {
	// Table is its name, which may be qualified with a schema. Required. It must be an ordinary table: no partitioned one, partition or view, nor
	// one that others inherit from.
	Table string
	// ID, Type and Payload are the columns that have the id, the type and the data of the event. Default: id, type and payload.
	ID, Type, Payload string
	// Stream is the column with the name of the stream; or Key is one with what is behind "TABLE-" in it, TABLE being as Table has it. Default: the
	// stream TABLE has all.
	Stream, Key string
	// Created is a column with the business time of the event, its member at of the metadata. Default: it has none.
	Created string
	// Order is the column by which rows are appended. Default: ID. Without Delete it must be an integer, NOT NULL and with a unique index on
	// it alone, that a sequence or identity gives the INSERT, one at a time (CACHE 1), growing: numbers that programs fetch ahead of it come
	// too late.
	Order string
	// Delete deletes rows in the transaction that appends their events. Default: they stay, and the relay remembers in the table relays up to
	// where it has come.
	Delete bool
	// Batch is how many rows are appended at once, from 1 to 1,000. Default: 100.
	Batch int

	schema, table string // what Table is
}

// Relay appends the rows of an outbox that are there and were not appended before, in the order of Outbox.Order, and returns how many there were.
// It may run in several processes, one of which goes on at a time.
//
// An event and that its row is done are one transaction (AppendCommit). The event's id is that of the row if it is a UUID, else made of table and id:
// a row that comes again, because the table or the log was restored, is there already.
//
// No row is left out. With Delete, rows are taken as they are visible, so what a transaction has written comes behind what others had committed
// before. Without, a row waits until all transactions that had written to the table when it was seen have ended: one of these may yet commit
// a row with a lower number. So rows come in the order of their numbers, and one that stays open holds up the relay, and loses nothing.
//
// The first row that cannot be appended ends it, once those before it are: the error names it. It is ErrInvalid if the table or its order are not
// as Outbox demands, or all numbers are below one that was relayed.
func (s *Store) Relay(ctx context.Context, o Outbox) (int, error) {
	o, err := o.checked()
	if err == nil {
		err = s.checkTable(ctx, &o)
	}
	if err == nil && !o.Delete {
		err = s.checkOrder(ctx, &o)
	}
	total := 0
	for err == nil {
		var n int
		if n, err = s.relayed(ctx, &o); n == 0 {
			break
		}
		total += n
	}
	if err != nil {
		return total, fmt.Errorf("relay table %s: %w", o.Table, err)
	}
	return total, nil
}

func (o Outbox) checked() (Outbox, error) {
	o.ID, o.Type, o.Payload = cmp.Or(o.ID, "id"), cmp.Or(o.Type, "type"), cmp.Or(o.Payload, "payload")
	o.Order, o.Batch = cmp.Or(o.Order, o.ID), cmp.Or(o.Batch, 100)
	switch {
	case o.Table == "":
		return o, &eventstore.InvalidError{Field: "table", Reason: "must not be empty"}
	case o.Stream != "" && o.Key != "":
		return o, &eventstore.InvalidError{Field: "key", Reason: "must be left out beside a column with the stream"}
	case o.Batch < 1 || o.Batch > 1000:
		return o, &eventstore.InvalidError{Field: "batch", Reason: "must be from 1 to 1000"}
	}
	return o, nil
}

// quoted returns the table's name as SQL has it.
func (o *Outbox) quoted() string { return pgsql.Name(o.schema, o.table) }

// key names the table in relays, and in ids of events.
func (o *Outbox) key() string { return o.schema + "." + o.table }

// checkTable finds the table, and refuses one whose rows are elsewhere: writers lock these places, not the table, and a ctid is not unique there.
func (s *Store) checkTable(ctx context.Context, o *Outbox) error {
	var ordinary bool
	err := s.cfg.Pool.QueryRow(ctx, `SELECT n.nspname::text, c.relname::text,
	c.relkind = 'r' AND NOT c.relispartition AND NOT EXISTS (SELECT FROM pg_inherits WHERE inhparent = c.oid)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1::text)`,
		pgsql.Name(strings.Split(o.Table, ".")...)).Scan(&o.schema, &o.table, &ordinary)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return &eventstore.InvalidError{Field: "table", Reason: fmt.Sprintf("%q does not exist", o.Table)}
	case err == nil && !ordinary:
		return &eventstore.InvalidError{Field: "table", Reason: fmt.Sprintf("%s must be an ordinary table: not partitioned, no partition, no view, and nothing inherits from it", o.key())}
	}
	return translate(err)
}

// checkOrder refuses an order in which a row could come before one that has been passed.
func (s *Store) checkOrder(ctx context.Context, o *Outbox) error {
	var integer, notNull, unique, ahead bool
	err := s.cfg.Pool.QueryRow(ctx, `SELECT a.atttypid IN ('smallint'::regtype, 'integer'::regtype, 'bigint'::regtype), a.attnotnull,
	EXISTS (SELECT FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
		AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum),
	EXISTS (SELECT FROM pg_depend d JOIN pg_sequence q ON q.seqrelid = d.objid WHERE d.classid = 'pg_class'::regclass
		AND d.refclassid = 'pg_class'::regclass AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum
		AND (q.seqcache > 1 OR q.seqincrement < 0 OR q.seqcycle))
FROM pg_attribute a WHERE a.attrelid = $1::text::regclass AND a.attname = $2 AND NOT a.attisdropped`,
		o.quoted(), o.Order).Scan(&integer, &notNull, &unique, &ahead)
	invalid := func(reason string) error {
		return &eventstore.InvalidError{Field: "order", Reason: fmt.Sprintf("is column %q, which %s; otherwise rows must be deleted", o.Order, reason)}
	}
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return invalid("the table has not")
	case err != nil:
		return translate(err)
	case !integer:
		return invalid("must be an integer that a sequence gives")
	case !notNull || !unique:
		return invalid("must be NOT NULL and have a unique index on it alone, valid and not partial")
	case ahead:
		return invalid("has a sequence that must grow, without CYCLE and with CACHE 1")
	}
	return nil
}

// outboxRow is one of an outbox.
type outboxRow struct {
	order       string
	id          *string // nil: NULL, or not read
	kind        string
	payload     string
	stream, key *string
	created     *time.Time
}

// columns are those of a row, as they are selected.
func (o *Outbox) columns() string {
	text := func(name string) string {
		if name == "" {
			return "NULL::text"
		}
		return "t." + pgsql.Name(name) + "::text"
	}
	orEmpty := func(name string) string { return "coalesce(" + text(name) + ", '')" }
	created := "NULL::timestamptz"
	if o.Created != "" {
		created = "t." + pgsql.Name(o.Created) + "::timestamptz"
	}
	return strings.Join([]string{orEmpty(o.Order), text(o.ID), orEmpty(o.Type), orEmpty(o.Payload), text(o.Stream), text(o.Key), created}, ", ")
}

// relayed appends the next rows, in one transaction.
func (s *Store) relayed(ctx context.Context, o *Outbox) (n int, err error) {
	upTo, more, err := s.relayHorizon(ctx, o)
	if err != nil || !more {
		return 0, err
	}
	for batch := o.Batch; ; batch /= 2 {
		// Fewer rows may be those before a bad one, not too large together, or not some that are there beside some that are not.
		if n, err = s.relayBatch(ctx, o, upTo, batch); err == nil || batch == 1 || !refusesRows(err) {
			return n, err
		}
	}
}

// refusesRows reports that an error may be about the rows.
func refusesRows(err error) bool {
	switch eventstore.ClassOf(err) {
	case eventstore.ClassInvalid, eventstore.ClassTooLarge, eventstore.ClassReused, eventstore.ClassDeleted:
		return true
	case eventstore.ClassInternal: // e.g. a value that is not of the type
		return true
	}
	return false
}

const (
	relayBegin = `INSERT INTO {schema}.relays (name, position) VALUES ($1, -9223372036854775808) ON CONFLICT DO NOTHING`
	relayLock  = `SELECT position FROM {schema}.relays WHERE name = $1 FOR UPDATE`
	relayMove  = `UPDATE {schema}.relays SET position = $2::text::bigint, moved_at = clock_timestamp() WHERE name = $1`
)

// relayHorizon returns up to which number all rows are there that ever will be, and whether there may be any that are new.
func (s *Store) relayHorizon(ctx context.Context, o *Outbox) (upTo int64, more bool, err error) {
	if _, err := s.cfg.Pool.Exec(ctx, s.sql(relayBegin), o.key()); err != nil || o.Delete {
		return 0, true, translate(err)
	}
	var last *int64
	var from int64
	err = s.cfg.Pool.QueryRow(ctx, s.sql(`SELECT (SELECT max(`+pgsql.Name(o.Order)+`)::bigint FROM ONLY `+o.quoted()+`), position
FROM {schema}.relays WHERE name = $1`), o.key()).Scan(&last, &from)
	switch {
	case err != nil || last == nil || *last == from:
		return 0, false, err
	case *last < from:
		return 0, false, &eventstore.InvalidError{Field: "order", Reason: fmt.Sprintf("ends with %s %d, but rows up to %d were relayed: numbers must not begin anew. "+
			"Restart their sequence above %d, and give the rows new numbers", o.Order, *last, from, from)}
	}
	// Who has a lower number has had this lock before it got that, and has it until its row is there.
	writers, err := s.writersOf(ctx, o)
	for err == nil && len(writers) > 0 {
		if !background.Sleep(ctx, 20*time.Millisecond) {
			return 0, false, ctx.Err()
		}
		var now []string
		now, err = s.writersOf(ctx, o)
		writers = slices.DeleteFunc(writers, func(w string) bool { return !slices.Contains(now, w) })
	}
	return *last, true, err
}

// writersOf returns the transactions that have written to an outbox, or are about to.
func (s *Store) writersOf(ctx context.Context, o *Outbox) ([]string, error) {
	rows, err := s.cfg.Pool.Query(ctx, `SELECT virtualtransaction FROM pg_locks
WHERE locktype = 'relation' AND relation = $1::text::regclass AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
AND granted AND mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')`, o.quoted())
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

func (s *Store) relayBatch(ctx context.Context, o *Outbox, upTo int64, batch int) (int, error) {
	tx, err := s.cfg.Pool.Begin(ctx)
	if err != nil {
		return 0, translate(err)
	}
	n, err := s.relayIn(ctx, tx, o, upTo, batch)
	if n == 0 || err != nil {
		rollback(ctx, tx)
		return 0, err
	}
	return n, nil
}

// relayIn is relayBatch in a transaction, which it ends if there are rows.
func (s *Store) relayIn(ctx context.Context, tx pgx.Tx, o *Outbox, upTo int64, batch int) (int, error) {
	var from int64
	if err := tx.QueryRow(ctx, s.sql(relayLock), o.key()).Scan(&from); err != nil {
		return 0, err
	}
	order := "t." + pgsql.Name(o.Order)
	// Values are read as what they must be of these rows only, as an error is about one of them.
	query := `SELECT ` + o.columns() + ` FROM (SELECT * FROM ONLY ` + o.quoted() + ` t WHERE ` + order + ` > $1 AND ` + order + ` <= $2
		ORDER BY ` + order + ` LIMIT $3) t ORDER BY ` + order
	args := []any{from, upTo, batch}
	if o.Delete {
		query = `WITH taken AS (SELECT ctid FROM ONLY ` + o.quoted() + ` t ORDER BY ` + order + ` LIMIT $1 FOR UPDATE), deleted AS (
			DELETE FROM ONLY ` + o.quoted() + ` t USING taken WHERE t.ctid = taken.ctid RETURNING t.*)
			SELECT ` + o.columns() + ` FROM deleted t ORDER BY ` + order
		args = []any{batch}
	}
	var appends []eventstore.StreamAppend
	var r outboxRow
	rows, err := tx.Query(ctx, query, args...)
	if err == nil {
		_, err = pgx.ForEachRow(rows, []any{&r.order, &r.id, &r.kind, &r.payload, &r.stream, &r.key, &r.created}, func() error {
			if r.id == nil {
				return &eventstore.InvalidError{Field: "id", Reason: "must not be NULL"}
			}
			appends = append(appends, o.append(&r))
			return nil
		})
	}
	if err == nil && len(appends) == 0 {
		return 0, nil
	}
	if err == nil && !o.Delete {
		_, err = tx.Exec(ctx, s.sql(relayMove), o.key(), r.order)
	}
	if err == nil {
		_, err = s.AppendCommit(ctx, tx, appends, eventstore.AppendOptions{})
	}
	if err != nil && batch == 1 && refusesRows(err) {
		err = fmt.Errorf("row with %s: %w", o.names(&r), err)
	}
	return len(appends), err
}

// names says which row of the table one is.
func (o *Outbox) names(r *outboxRow) string {
	id := "NULL or unread"
	if r.id != nil {
		id = strconv.Quote(*r.id)
	}
	return fmt.Sprintf("%s %s, order %s %s", o.ID, id, o.Order, cmp.Or(r.order, "that is the next"))
}

// append returns the event of a row.
func (o *Outbox) append(r *outboxRow) eventstore.StreamAppend {
	id, err := uuid.Parse(*r.id)
	if err != nil {
		id = uuid.NewSHA1(uuid.NameSpaceOID, []byte("outbox "+o.key()+"\x00"+*r.id))
	}
	stream := o.Table
	switch {
	case r.stream != nil:
		stream = *r.stream
	case r.key != nil:
		stream += "-" + *r.key
	}
	metadata := map[string]any{"outbox": map[string]string{"table": o.key(), "id": *r.id}}
	if r.created != nil {
		metadata["at"] = eventstore.Microseconds(*r.created)
	}
	text, _ := json.Marshal(metadata) // of texts and a time
	e := eventstore.Event{ID: id, Type: r.kind, Data: []byte(r.payload), Metadata: text}
	if !json.Valid(e.Data) {
		e.ContentType = "text/plain; charset=utf-8"
	}
	return eventstore.StreamAppend{Stream: stream, Expected: eventstore.Any, Events: []eventstore.Event{e}}
}
