package machine

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Machine says what a measurement ran on, and how. What cannot be found out is empty.
type Machine struct {
	CPU         string `json:"cpu"`
	Cores       int    `json:"cores"` // those that this program may use
	MemoryBytes int64  `json:"memory_bytes"`
	OS          string `json:"os"`
	Go          string `json:"go"`
	Recount     string `json:"recount"`
	Postgres    string `json:"postgres"`
	// Settings are those of PostgreSQL that matter to speed and durability.
	Settings map[string]string `json:"settings"`
	// Load is the load average over a minute before the run: what else the machine had to do.
	Load    float64   `json:"load"`
	Command string    `json:"command"`
	At      time.Time `json:"at"`
}

// String describes the machine in two lines.
func (m Machine) String() string {
	return fmt.Sprintf("%s, %d cores, %.0f GB, %s, %s, PostgreSQL %s (fsync %s, synchronous_commit %s)\n%s",
		m.CPU, m.Cores, float64(m.MemoryBytes)/1e9, m.OS, m.Go, m.Postgres,
		m.Settings["fsync"], m.Settings["synchronous_commit"], m.Command)
}

const selectSettings = `
SELECT name, current_setting(name) FROM unnest(ARRAY['server_version', 'fsync', 'synchronous_commit', 'full_page_writes',
    'shared_buffers', 'max_wal_size', 'max_connections', 'wal_level']) AS name`

// Hardware names processor, cores and memory.
func (m Machine) Hardware() string {
	return fmt.Sprintf("%s, %d cores, %.0f GB of memory", m.CPU, m.Cores, float64(m.MemoryBytes)/1e9)
}

// Software names the programs, with their versions.
func (m Machine) Software() string {
	return fmt.Sprintf("recount %s, %s, PostgreSQL %s, %s", m.Recount, m.Go, m.Postgres, m.OS)
}

// Describe finds out what this process runs on, and on which PostgreSQL. Recount and Command it
// leaves to the caller, who knows them.
func Describe(ctx context.Context, dsn string) (Machine, error) {
	m := Machine{
		CPU:         cpuModel(),
		Cores:       runtime.GOMAXPROCS(0),
		MemoryBytes: memory(),
		OS:          operatingSystem(),
		Go:          runtime.Version(),
		Settings:    make(map[string]string),
		At:          time.Now().UTC().Truncate(time.Second),
	}
	m.Load, _ = strconv.ParseFloat(firstWord(read("/proc/loadavg")), 64)
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return m, fmt.Errorf("connect to the database: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	rows, err := conn.Query(ctx, selectSettings)
	if err != nil {
		return m, fmt.Errorf("read the server's settings: %w", err)
	}
	var name, value string
	_, err = pgx.ForEachRow(rows, []any{&name, &value}, func() error {
		m.Settings[name] = value
		return nil
	})
	if err != nil {
		return m, fmt.Errorf("read the server's settings: %w", err)
	}
	m.Postgres = firstWord(m.Settings["server_version"])
	delete(m.Settings, "server_version")
	return m, nil
}

// read returns a file of the system, or nothing: these files differ from one system to the next.
func read(path string) string {
	b, _ := os.ReadFile(path)
	return string(b)
}

func firstWord(text string) string {
	word, _, _ := strings.Cut(strings.TrimSpace(text), " ")
	return word
}

// field returns what stands behind "name :" in a file of the system.
func field(text, name string) string {
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func cpuModel() string {
	if model := field(read("/proc/cpuinfo"), "model name"); model != "" {
		return model
	}
	return runtime.GOARCH
}

func memory() int64 {
	kilobytes, _ := strconv.ParseInt(firstWord(field(read("/proc/meminfo"), "MemTotal")), 10, 64)
	return kilobytes << 10
}

func operatingSystem() string {
	return strings.TrimSpace(runtime.GOOS + "/" + runtime.GOARCH + " " + strings.TrimSpace(read("/proc/sys/kernel/osrelease")))
}
