package pgtest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash/fnv"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/internal/pgsql"
	"github.com/57528e99/recount/migrations"
)

// templateName names the template after the migrations it has, so that one server can serve
// several versions of the code.
var templateName = sync.OnceValues(func() (string, error) {
	sql, err := migrations.SQL(migrations.DefaultSchema, 0, migrations.Latest())
	if err != nil {
		return "", fmt.Errorf("name the template: %w", err)
	}
	return fmt.Sprintf("recount_template_%x", sha256.Sum256([]byte(sql)))[:40], nil
})

// ensureTemplate returns the name of a database with all migrations applied, making it if this is
// the first call on the server. Calls from several processes at once make one.
func ensureTemplate(ctx context.Context, admin *pgx.Conn) (string, error) {
	name, err := templateName()
	if err != nil {
		return "", err
	}
	if ok, err := isTemplate(ctx, admin, name); err != nil || ok {
		return name, err
	}
	key := fnv.New64a()
	key.Write([]byte(name))
	if _, err := admin.Exec(ctx, `SELECT pg_advisory_lock($1)`, int64(key.Sum64())); err != nil {
		return "", fmt.Errorf("lock the template: %w", err)
	}
	// The lock ends with the connection, which the caller closes.
	if ok, err := isTemplate(ctx, admin, name); err != nil || ok {
		return name, err
	}
	return name, makeTemplate(ctx, admin, name)
}

// isTemplate reports whether the template is complete: it is marked as one only then.
func isTemplate(ctx context.Context, admin *pgx.Conn, name string) (ok bool, err error) {
	err = admin.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1 AND datistemplate)`, name).Scan(&ok)
	if err != nil {
		return false, fmt.Errorf("look for the template: %w", err)
	}
	return ok, nil
}

func makeTemplate(ctx context.Context, admin *pgx.Conn, name string) error {
	dsn, err := withDatabase(admin.Config().ConnString(), name)
	if err != nil {
		return err
	}
	if _, err := admin.Exec(ctx, `DROP DATABASE IF EXISTS `+pgsql.Name(name)+` WITH (FORCE)`); err != nil {
		return fmt.Errorf("drop a half made template: %w", err)
	}
	if err := clone(ctx, admin, name, "template0"); err != nil {
		return fmt.Errorf("create the template: %w", err)
	}
	if _, err := migrations.Up(ctx, dsn, migrations.DefaultSchema); err != nil {
		return fmt.Errorf("migrate the template: %w", err)
	}
	if _, err := admin.Exec(ctx, `ALTER DATABASE `+pgsql.Name(name)+` IS_TEMPLATE true ALLOW_CONNECTIONS false`); err != nil {
		return fmt.Errorf("mark the template: %w", err)
	}
	return nil
}

// clone copies a database that nobody is connected to. Copying its files is faster than writing
// the copy to the log, which PostgreSQL does since version 15 unless told otherwise.
func clone(ctx context.Context, admin *pgx.Conn, name, template string) error {
	sql := `CREATE DATABASE ` + pgsql.Name(name) + ` TEMPLATE ` + pgsql.Name(template)
	version := admin.PgConn().ParameterStatus("server_version")
	if major, _, _ := strings.Cut(version, "."); len(major) == 2 && major >= "15" {
		sql += ` STRATEGY FILE_COPY`
	}
	_, err := admin.Exec(ctx, sql)
	return err
}

// withAdmin runs f on a connection that may create and drop databases. It is closed at once, so
// that a test finds no goroutine or connection of ours.
func withAdmin(ctx context.Context, dsn string, f func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return fmt.Errorf("connect to the test server: %w", err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		conn.Close(ctx)
	}()
	return f(conn)
}

// withDatabase returns dsn, which must be a URL, with another database.
func withDatabase(dsn, name string) (string, error) {
	u, err := url.Parse(dsn)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		return "", fmt.Errorf("the test server's address must look like postgres://user@host/database")
	}
	u.Path = "/" + name
	return u.String(), nil
}
