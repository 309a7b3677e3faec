package pgtest

import (
	"context"
	"fmt"
	"net/url"
	"os"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/internal/pgsql"
)

// EnvSettings is the environment variable that says under which settings the tests run: "unkind" gives
// each test's database settings that statements should not depend on, and the name of an execution mode
// of pgx (exec, simple_protocol, cache_describe, describe_exec) makes statements run in that. Default: as
// the server and the driver have them.
const EnvSettings = "RECOUNT_TEST_SETTINGS"

// unkind are settings under which nothing may mean anything else.
var unkind = map[string]string{
	"default_transaction_isolation": "serializable", "statement_timeout": "100ms", "lock_timeout": "50ms",
	"idle_in_transaction_session_timeout": "100ms", "client_encoding": "LATIN1", "datestyle": "German", "intervalstyle": "sql_standard",
	"bytea_output": "escape", "extra_float_digits": "-15", "timezone": "Asia/Kathmandu", "synchronous_commit": "off",
}

// withSettings gives the database name what EnvSettings wants, and returns the address to use.
func withSettings(ctx context.Context, server, name, dsn string) (string, error) {
	switch wanted := os.Getenv(EnvSettings); wanted {
	case "":
		return dsn, nil
	case "unkind":
		return dsn, withAdmin(ctx, server, func(admin *pgx.Conn) error {
			for setting, value := range unkind {
				if _, err := admin.Exec(ctx, fmt.Sprintf(`ALTER DATABASE %s SET %s = '%s'`, pgsql.Name(name), setting, value)); err != nil {
					return err
				}
			}
			return nil
		})
	default:
		u, err := url.Parse(dsn)
		if err != nil {
			return "", err
		}
		query := u.Query()
		query.Set("default_query_exec_mode", wanted)
		u.RawQuery = query.Encode()
		return u.String(), nil
	}
}
