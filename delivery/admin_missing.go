package delivery

import (
	"cmp"
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

const missingSQL = `
SELECT d.name FROM unnest($2::text[], $3::text[]) AS d (name, needs)
WHERE EXISTS (SELECT FROM {schema}.subscription_members m WHERE m.app = $1 AND d.needs = ANY (m.can_run) AND ` + alive + `)
  AND NOT EXISTS (SELECT FROM {schema}.subscriptions s WHERE s.name = d.name)
ORDER BY d.name`

// Missing returns the names of those subscriptions that have a Handler which a process that lives has too, and are not there: the process
// has declared them when it began, and somebody has deleted them since. Nobody is handed over what they match.
func (a *Admin) Missing(ctx context.Context, declared ...Subscription) ([]string, error) {
	var names, needs []string
	for _, s := range declared {
		if s.Handler == nil {
			continue // another process may be able to run it, and have declared nothing
		}
		d := s.Definition
		if d.Target == (TargetConfig{}) {
			d.Target.Handler = &HandlerTarget{Name: s.Handler.Name()}
		}
		names, needs = append(names, cmp.Or(d.Name, s.Handler.Name())), append(needs, d.needs())
	}
	rows, err := a.records.pool.Query(ctx, a.records.sql(missingSQL), a.records.app, names, needs)
	if err == nil {
		names, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if err != nil {
		return nil, fmt.Errorf("look for declared subscriptions: %w", err)
	}
	return names, nil
}
