package pgtest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/internal/pgsql"
)

// EnvSettings is the environment variable that says under which settings the tests run. "unkind"
// gives each test's database settings that statements should not depend on. "pooler-refuses" and
// "pooler-ignores" put a Pooler before it, which tests are skipped without. The name of an
// execution mode of pgx (exec, simple_protocol, cache_describe, describe_exec) makes statements run
// in that. Default: as the server and the driver have them.
const EnvSettings = "RECOUNT_TEST_SETTINGS"

const unkindly = "unkind"

// poolers are the settings with one.
var poolers = map[string]Startup{"pooler-refuses": Refuses, "pooler-ignores": Ignores}

// unkind are settings under which nothing may mean anything else.
var unkind = map[string]string{
	"default_transaction_isolation": "serializable", "default_transaction_deferrable": "on",
	"statement_timeout": "100ms", "lock_timeout": "50ms", "idle_in_transaction_session_timeout": "100ms", "idle_session_timeout": "100ms",
	"exit_on_error": "on", "client_encoding": "LATIN1", "datestyle": "German", "intervalstyle": "sql_standard", "bytea_output": "escape",
	"extra_float_digits": "-15", "timezone": "Asia/Kathmandu", "standard_conforming_strings": "off", "array_nulls": "off",
	"transform_null_equals": "on", "plan_cache_mode": "force_generic_plan", "synchronous_commit": "off",
}

// ExecModes returns the execution modes that programs may use on the databases of the tests: behind
// a transaction pooler those that prepare nothing.
func ExecModes() []pgx.QueryExecMode {
	modes := []pgx.QueryExecMode{pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol}
	if _, behindPooler := poolers[os.Getenv(EnvSettings)]; !behindPooler {
		modes = append(modes, pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec)
	}
	return modes
}

// applySettings gives the database, whose name on the server it gets, what EnvSettings wants.
func (db *DB) applySettings(ctx context.Context, t testing.TB, server, name string) error {
	wanted := os.Getenv(EnvSettings)
	startup, behindPooler := poolers[wanted]
	_, isExample := t.(*exampleTB) // which cannot be skipped
	switch {
	case wanted == "" || behindPooler && isExample:
		return nil
	case behindPooler:
		db.Direct = db.DSN
		db.DSN = NewPooler(t, startup).DSN(t, db)
		return nil
	case wanted == unkindly:
		return withAdmin(ctx, server, func(admin *pgx.Conn) error {
			for setting, value := range unkind {
				if _, err := admin.Exec(ctx, fmt.Sprintf(`ALTER DATABASE %s SET %s = '%s'`, pgsql.Name(name), setting, value)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	u, err := url.Parse(db.DSN)
	if err != nil {
		return err
	}
	query := u.Query()
	query.Set("default_query_exec_mode", wanted)
	u.RawQuery = query.Encode()
	db.DSN = u.String()
	return nil
}
