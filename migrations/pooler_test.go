package migrations_test

import (
	"errors"
	"testing"

	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/migrations"
)

// Where the settings of a session do not arrive, the tables would be made in another schema.
func TestMigrationsNeedTheirSettings(t *testing.T) {
	t.Parallel()
	for name, startup := range map[string]pgtest.Startup{"refused": pgtest.Refuses, "ignored": pgtest.Ignores} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pooler := pgtest.NewPooler(t, startup)
			empty := pgtest.NewEmpty(t)
			var refused *migrations.PoolerError
			if _, err := migrations.Up(t.Context(), pooler.DSN(t, empty), "recount"); !errors.As(err, &refused) || refused.Hint() == "" {
				t.Errorf("Up = %v, want a PoolerError", err)
			}
			if err := migrations.Force(t.Context(), pooler.DSN(t, pgtest.New(t)), "recount", 1); !errors.As(err, &refused) {
				t.Errorf("Force = %v, want a PoolerError", err)
			}
			// Tables of this version are all that a server behind the pooler needs.
			dsn := pooler.DSN(t, pgtest.New(t))
			if now, err := migrations.Status(t.Context(), dsn, "recount"); err != nil || now.Pending() {
				t.Errorf("Status = %+v, %v", now, err)
			}
			if _, err := migrations.Up(t.Context(), dsn, "recount"); err != nil {
				t.Errorf("Up of tables that are up to date: %v", err)
			}
		})
	}
}
