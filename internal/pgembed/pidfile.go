//go:build unix

package pgembed

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// postmaster is what a running server writes about itself into its data directory.
type postmaster struct {
	pid       int
	port      string
	socketDir string
	ready     bool
}

// readPostmaster reads dir/postmaster.pid. ok is false if there is none or the process that it
// names is gone.
func readPostmaster(dir string) (p postmaster, ok bool) {
	b, err := os.ReadFile(filepath.Join(dir, "postmaster.pid"))
	if err != nil {
		return p, false
	}
	p = parsePostmaster(string(b))
	return p, p.pid != 0 && serves(p.pid, dir)
}

// parsePostmaster reads the text of a postmaster.pid, as far as it is written. The pid is 0 if it
// names no process.
func parsePostmaster(text string) postmaster {
	// Lines: pid, data directory, start time, port, socket directory, listen address, shared
	// memory, status. They are written from top to bottom while the server starts.
	lines := append(strings.SplitN(text, "\n", 9), make([]string, 8)...)
	return postmaster{pid: parsePID(lines[0]), port: lines[3], socketDir: lines[4], ready: strings.TrimSpace(lines[7]) == "ready"}
}

// parsePID reads the number of a process; 0: it is none. It may be shown in a command for kill, to
// which other numbers mean groups of processes, or all.
func parsePID(text string) int {
	pid, err := strconv.ParseUint(strings.TrimSpace(text), 10, 31)
	if err != nil {
		return 0
	}
	return int(pid)
}

// disown makes the files that a killed server left behind harmless. Its number may belong to
// another process by now (in containers it usually does), and the new server would then refuse
// to start. The number of its parent it does not mind: so that is put in, and the rest of the
// file stays, by which it still notices surviving children of the old server.
// The caller holds the directory's lock and has seen that no server serves it.
func disown(dir string) error {
	path := filepath.Join(dir, "postmaster.pid")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read what an earlier server left: %w", err)
	}
	_, rest, _ := strings.Cut(string(b), "\n")
	if err := os.WriteFile(path, fmt.Appendf(nil, "%d\n%s", os.Getpid(), rest), 0o600); err != nil {
		return fmt.Errorf("disown what an earlier server left: %w", err)
	}
	sockets, _ := filepath.Glob(filepath.Join(dir, ".s.PGSQL.*")) // the pattern is well formed
	for _, path := range sockets {
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("remove what an earlier server left: %w", err)
		}
	}
	return nil
}

// Find returns the address of the database Database on the server that runs in dataDir. ok is
// false if none answers within two seconds.
func Find(ctx context.Context, dataDir string) (dsn string, ok bool) {
	dir, err := filepath.Abs(dataDir)
	if err != nil {
		return "", false
	}
	p, ok := readPostmaster(dir)
	if !ok || !p.ready {
		return "", false
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	dsn = dsnFor(p.socketDir, p.port, Database)
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return "", false
	}
	defer conn.Close(ctx)
	// Another server may have taken over the socket's place.
	var running string
	err = conn.QueryRow(ctx, `SELECT current_setting('data_directory')`).Scan(&running)
	return dsn, err == nil && sameFile(running, dir)
}

func sameFile(a, b string) bool {
	x, err1 := os.Stat(a)
	y, err2 := os.Stat(b)
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}

func dsnFor(socketDir, port, dbname string) string {
	q := url.Values{"host": {socketDir}, "port": {port}}
	u := url.URL{Scheme: "postgres", User: url.User(User), Path: "/" + dbname, RawQuery: q.Encode()}
	return u.String()
}

func tcpDSN(port int, password, dbname string) string {
	host := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	u := url.URL{Scheme: "postgres", User: url.UserPassword(User, password), Host: host, Path: "/" + dbname}
	return u.String()
}
