//go:build unix

package pgembed

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/internal/pgerr"
)

const (
	maxSocketPath = 100      // bytes; systems allow 103 to 107
	maxLog        = 10 << 20 // bytes after which a new log file is begun, at the next start
)

// chooseSocketDir returns the folder for the unix socket: the data directory, or a temporary one
// if the path would be too long for a socket.
func (s *Server) chooseSocketDir() (string, error) {
	if len(filepath.Join(s.dir, ".s.PGSQL."+s.port())) <= maxSocketPath {
		return s.dir, nil
	}
	dir, err := os.MkdirTemp("", "recount-socket-*")
	if err != nil {
		return "", fmt.Errorf("create a folder for the socket: %w", err)
	}
	if err := s.id.own(dir); err != nil {
		return "", fmt.Errorf("create a folder for the socket: %w", errors.Join(err, os.Remove(dir)))
	}
	return dir, nil
}

// LogFile is the path of the server's log.
func (s *Server) LogFile() string { return filepath.Join(s.dir, "server.log") }

// openLog opens the log for appending, after putting one that has become long aside.
func (s *Server) openLog() (*os.File, error) {
	if info, err := os.Stat(s.LogFile()); err == nil && info.Size() > maxLog {
		if err := os.Rename(s.LogFile(), s.LogFile()+".1"); err != nil {
			return nil, fmt.Errorf("begin a new server log: %w", err)
		}
	}
	f, err := os.OpenFile(s.LogFile(), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the server log: %w", err)
	}
	info, err := f.Stat()
	if err == nil {
		err = s.id.own(s.LogFile()) // else its owner could not start it without us
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the server log: %w", err), f.Close())
	}
	s.logStart = info.Size()
	return f, nil
}

// tail returns what the server has logged since openLog, at most the last 4 KB of it.
func (s *Server) tail(log *os.File) string {
	const limit = 4096
	info, err := log.Stat()
	if err != nil {
		return ""
	}
	from := max(s.logStart, info.Size()-limit)
	b, _ := io.ReadAll(io.NewSectionReader(log, from, limit)) // for an error message: as much as can be read
	return strings.TrimSpace(string(b))
}

// awaitReady returns when the server answers. After a crash that may take as long as its
// recovery does.
func (s *Server) awaitReady(ctx context.Context) error {
	for {
		select {
		case <-s.stopped:
			return fmt.Errorf("the server in %s ended while it started", s.dir)
		default:
		}
		conn, err := pgx.Connect(ctx, s.DSN("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		if !pgerr.Is(err, "", pgerr.CannotConnectNow) {
			return fmt.Errorf("connect to the server in %s: %w", s.dir, err)
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return fmt.Errorf("wait for the server in %s: %w", s.dir, err)
		}
	}
}

// prepare creates what users of the server expect to be there.
func (s *Server) prepare(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.DSN("postgres"))
	if err != nil {
		return fmt.Errorf("connect to the server: %w", err)
	}
	defer conn.Close(ctx)

	var exists bool
	err = conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, Database).Scan(&exists)
	if err != nil {
		return fmt.Errorf("look for database %s: %w", Database, err)
	}
	if !exists {
		if err := firstStart(ctx, conn); err != nil {
			return err
		}
	}
	if s.config.Port != 0 {
		return s.setPassword(ctx, conn)
	}
	return nil
}

// firstStart creates Database, after choosing the faster compression where the server has it.
// The database comes last: that it exists says that all of this is done.
func firstStart(ctx context.Context, conn *pgx.Conn) error {
	var lz4 bool
	err := conn.QueryRow(ctx, `SELECT 'lz4' = ANY (enumvals) FROM pg_settings WHERE name = 'default_toast_compression'`).Scan(&lz4)
	if err != nil {
		return fmt.Errorf("look for lz4: %w", err)
	}
	statements := []string{`CREATE DATABASE ` + Database}
	if lz4 {
		statements = []string{
			`ALTER SYSTEM SET default_toast_compression = 'lz4'`, `SELECT pg_reload_conf()`, statements[0],
		}
	}
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("set up the server: %s: %w", statement, err)
		}
	}
	return nil
}

// setPassword gives User the password that the data directory keeps for it, for clients that
// come over TCP.
func (s *Server) setPassword(ctx context.Context, conn *pgx.Conn) error {
	path := filepath.Join(s.dir, "recount.password")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		b = []byte(rand.Text())
		if err = os.WriteFile(path, b, 0o600); err == nil {
			err = s.id.own(path)
		}
	}
	if err != nil {
		return fmt.Errorf("keep the password for TCP: %w", err)
	}
	s.password = string(b)
	// The password is letters and digits: ours, see rand.Text. The statement takes no parameters.
	if _, err := conn.Exec(ctx, `ALTER ROLE `+User+` PASSWORD '`+s.password+`'`); err != nil {
		return fmt.Errorf("set the password for TCP: %w", err)
	}
	return nil
}
