package delivery

import (
	"context"
	"errors"
	"fmt"
	"github.com/57528e99/recount/internal/pgerr"
	"github.com/57528e99/recount/internal/pgsql"
	"strings"
)

// callFunctionSQL calls the function for each event, in order. What jsonb cannot hold (NUL, lone surrogates, huge
// numbers, bytes that are no JSON) is given in base64.
const callFunctionSQL = `
SELECT %s(e.event) FROM (
    SELECT head::jsonb
        || CASE WHEN data IS NULL THEN '{}' WHEN data_j IS NULL
           THEN jsonb_build_object('data_base64', translate(encode(data, 'base64'), E'\n', '')) ELSE jsonb_build_object('data', data_j) END
        || CASE WHEN metadata IS NULL THEN '{}' WHEN metadata_j IS NULL
           THEN jsonb_build_object('metadata_base64', translate(encode(metadata, 'base64'), E'\n', '')) ELSE jsonb_build_object('metadata', metadata_j) END
        AS event
    FROM unnest($1::text[], $2::bytea[], $3::bytea[]) WITH ORDINALITY AS given(head, data, metadata, n),
         LATERAL (SELECT {schema}.try_jsonb(data) AS data_j, {schema}.try_jsonb(metadata) AS metadata_j OFFSET 0) AS read
    ORDER BY n
) AS e`

// sqlTarget calls a function in the database of the log.
type sqlTarget struct {
	SQLTarget
	statement string
}

func newSQLTarget(schema string) TargetFactory {
	return func(d Definition) (Target, error) {
		function := pgsql.Name(strings.Split(d.Target.SQL.Function, ".")...)
		return &sqlTarget{*d.Target.SQL, fmt.Sprintf(pgsql.In(schema, callFunctionSQL), function)}, nil
	}
}

func (t *sqlTarget) Deliver(context.Context, *Delivery) error { return errNeedsTx }

func (t *sqlTarget) DeliverTx(ctx context.Context, tx Tx, d *Delivery) error {
	heads := make([]string, len(d.Events))
	data, metadata := make([][]byte, len(d.Events)), make([][]byte, len(d.Events))
	for i := range d.Events {
		e := &d.Events[i]
		head, recorded := *e, *e.RecordedEvent
		recorded.Data, recorded.Metadata, head.RecordedEvent = nil, nil, &recorded
		heads[i], data[i], metadata[i] = string(head.AppendJSON(nil)), orNil(e.Data), orNil(e.Metadata)
	}
	_, err := tx.Exec(ctx, t.statement, heads, data, metadata)
	if pgerr.In(err, pgerr.ClassData) {
		return Permanent(err)
	}
	return err
}

func (t *sqlTarget) remembers() bool    { return t.Remember }
func (t *sqlTarget) eachByItself() bool { return true }

// errNeedsTx is what a transactional target says to who has no transaction for it.
var errNeedsTx = errors.New("the target works in the transaction that moves the cursor only")

func orNil(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}
