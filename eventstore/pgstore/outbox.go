package pgstore

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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
	// Table is its name, which may be qualified with a schema. Required.
	Table string
	// ID, Type and Payload are the columns that have the id, the type and the data of the event. Default: id, type and payload.
	ID, Type, Payload string
	// Stream is the column with the name of the stream; or Key is one with what is behind "TABLE-" in it. Default: the stream TABLE has
	// all.
	Stream, Key string
	// Created is a column with the business time of the event, its member at of the metadata. Default: it has none.
	Created string
	// Order is the column by which rows are appended. Default: ID. Without Delete it must be an integer that a sequence or identity
	// gives the INSERT, one at a time (CACHE 1): numbers that programs fetch ahead of it come too late.
	Order string
	// Delete deletes rows in the transaction that appends their events. Default: they stay, and the relay remembers in the table relays up to
	// where it has come.
	Delete bool
	// Batch is how many rows are appended at once, from 1 to 1,000. Default: 100.
	Batch int
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
func (s *Store) Relay(ctx context.Context, o Outbox) (int, error) {
	o, err := o.checked()
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
func (o *Outbox) quoted() string { return pgsql.Name(strings.Split(o.Table, ".")...) }

// checkOrder refuses an order in which a row could come before one that has been passed.
func (s *Store) checkOrder(ctx context.Context, o *Outbox) error {
	var kind string
	err := s.cfg.Pool.QueryRow(ctx, `SELECT a.atttypid::regtype::text FROM pg_attribute a WHERE a.attrelid = $1::regclass AND a.attname = $2 AND NOT a.attisdropped`,
		o.quoted(), o.Order).Scan(&kind)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return &eventstore.InvalidError{Field: "order", Reason: fmt.Sprintf("is column %q, which the table has not", o.Order)}
	case err == nil && !slices.Contains([]string{"smallint", "integer", "bigint"}, kind):
		return &eventstore.InvalidError{Field: "order", Reason: fmt.Sprintf("is column %q of type %s: rows that stay need a number that a sequence gives; else delete them", o.Order, kind)}
	}
	return err
}

// outboxRow is one of an outbox.
type outboxRow struct {
	id, kind, payload string
	stream, key       *string
	created           *time.Time
	order             int64
}

// columns are those of a row, as they are selected.
func (o *Outbox) columns() string {
	text := func(name string) string {
		if name == "" {
			return "NULL::text"
		}
		return "t." + pgsql.Name(name) + "::text"
	}
	created, order := "NULL::timestamptz", "0::bigint"
	if o.Created != "" {
		created = "t." + pgsql.Name(o.Created) + "::timestamptz"
	}
	if !o.Delete {
		order = "t." + pgsql.Name(o.Order) + "::bigint"
	}
	return strings.Join([]string{text(o.ID), text(o.Type), "coalesce(" + text(o.Payload) + ", '')", text(o.Stream), text(o.Key), created, order}, ", ")
}

// relayed appends the next rows, in one transaction.
func (s *Store) relayed(ctx context.Context, o *Outbox) (n int, err error) {
	upTo, err := s.relayHorizon(ctx, o)
	if err != nil || !o.Delete && upTo == 0 {
		return 0, err
	}
	for _, batch := range []int{o.Batch, 1} {
		n, err = s.relayBatch(ctx, o, upTo, batch)
		if !errors.Is(err, eventstore.ErrIDReused) || batch == 1 {
			break // else some of them are there already, which is no repetition of the whole
		}
	}
	return n, err
}

const (
	relayBegin = `INSERT INTO {schema}.relays (name, position) VALUES ($1, 0) ON CONFLICT DO NOTHING`
	relayLock  = `SELECT position FROM {schema}.relays WHERE name = $1 FOR UPDATE`
	relayMove  = `UPDATE {schema}.relays SET position = $2, moved_at = clock_timestamp() WHERE name = $1`
)

// relayHorizon returns up to which number all rows are there that ever will be; 0: there is none that is new.
func (s *Store) relayHorizon(ctx context.Context, o *Outbox) (upTo int64, err error) {
	if _, err := s.cfg.Pool.Exec(ctx, s.sql(relayBegin), o.Table); err != nil || o.Delete {
		return 0, err
	}
	column := pgsql.Name(o.Order)
	err = s.cfg.Pool.QueryRow(ctx, s.sql(`SELECT coalesce(max(`+column+`), 0)::bigint FROM `+o.quoted()+
		` WHERE `+column+` > (SELECT position FROM {schema}.relays WHERE name = $1)`), o.Table).Scan(&upTo)
	if err != nil || upTo == 0 {
		return 0, err
	}
	// Who has a lower number has had this lock before it got that, and has it until its row is there.
	writers, err := s.writersOf(ctx, o)
	for err == nil && len(writers) > 0 {
		if !background.Sleep(ctx, 20*time.Millisecond) {
			return 0, ctx.Err()
		}
		var now []string
		now, err = s.writersOf(ctx, o)
		writers = slices.DeleteFunc(writers, func(w string) bool { return !slices.Contains(now, w) })
	}
	return upTo, err
}

// writersOf returns the transactions that have written to an outbox, or are about to.
func (s *Store) writersOf(ctx context.Context, o *Outbox) ([]string, error) {
	rows, err := s.cfg.Pool.Query(ctx, `SELECT virtualtransaction FROM pg_locks
WHERE locktype = 'relation' AND relation = $1::regclass AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
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
	}
	return n, err
}

// relayIn is relayBatch in a transaction, which it ends if there are rows.
func (s *Store) relayIn(ctx context.Context, tx pgx.Tx, o *Outbox, upTo int64, batch int) (int, error) {
	var from int64
	if err := tx.QueryRow(ctx, s.sql(relayLock), o.Table).Scan(&from); err != nil {
		return 0, err
	}
	order := "t." + pgsql.Name(o.Order)
	query := `SELECT ` + o.columns() + ` FROM ` + o.quoted() + ` t WHERE ` + order + ` > $1 AND ` + order + ` <= $2 ORDER BY ` + order + ` LIMIT $3`
	args := []any{from, upTo, batch}
	if o.Delete {
		query = `WITH taken AS (SELECT ctid FROM ` + o.quoted() + ` t ORDER BY ` + order + ` LIMIT $1 FOR UPDATE), deleted AS (
			DELETE FROM ` + o.quoted() + ` t USING taken WHERE t.ctid = taken.ctid RETURNING t.*)
			SELECT ` + o.columns() + ` FROM deleted t ORDER BY ` + order
		args = []any{batch}
	}
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	var appends []eventstore.StreamAppend
	var r outboxRow
	_, err = pgx.ForEachRow(rows, []any{&r.id, &r.kind, &r.payload, &r.stream, &r.key, &r.created, &r.order}, func() error {
		appends = append(appends, o.append(&r))
		return nil
	})
	if err != nil || len(appends) == 0 {
		return 0, err
	}
	if !o.Delete {
		if _, err := tx.Exec(ctx, s.sql(relayMove), o.Table, r.order); err != nil {
			return 0, err
		}
	}
	_, err = s.AppendCommit(ctx, tx, appends, eventstore.AppendOptions{})
	return len(appends), err
}

// append returns the event of a row.
func (o *Outbox) append(r *outboxRow) eventstore.StreamAppend {
	id, err := uuid.Parse(r.id)
	if err != nil {
		id = uuid.NewSHA1(uuid.NameSpaceOID, []byte("outbox "+o.Table+"\x00"+r.id))
	}
	stream := o.Table
	switch {
	case r.stream != nil:
		stream = *r.stream
	case r.key != nil:
		stream = o.Table + "-" + *r.key
	}
	metadata := map[string]any{"outbox": map[string]string{"table": o.Table, "id": r.id}}
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
