package pgembed

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
)

const (
	// User is the superuser that owns the built-in database.
	User = "recount"
	// Database is the database that Start makes sure exists.
	Database = "recount"

	defaultPort = "5432"
)

// Config says how to run a server. Exactly one of DataDir and Fresh is set.
type Config struct {
	// DataDir keeps the data from one start to the next. It and its parents are created as
	// needed. It is renamed into place once complete, so it must not be a mount point itself.
	DataDir string

	// Fresh uses a temporary data directory that Stop removes. One that a killed process left
	// behind is removed by the next fresh start.
	Fresh bool

	// Port is the TCP port on 127.0.0.1. Default: 0, no TCP, only the unix socket.
	Port int

	// BinDir is the folder of initdb and postgres. Default: found, see FindBinaries.
	BinDir string

	// Test trades safety for speed: no fsync, and a Fresh directory in memory if there is room.
	// What was committed survives a crash of the server, not one of the machine.
	Test bool

	// MaxConnections is the server's limit. Default: 50; with Test 200.
	MaxConnections int

	// Settings are further server settings, by name. They win over all but the address
	// and the log.
	Settings map[string]string
}

func (c *Config) validate() error {
	switch {
	case c.DataDir == "" && !c.Fresh:
		return errors.New("pgembed: neither DataDir nor Fresh is set")
	case c.DataDir != "" && c.Fresh:
		return errors.New("pgembed: both DataDir and Fresh are set")
	case c.Port < 0 || c.Port > 65535:
		return fmt.Errorf("pgembed: port %d is not between 0 and 65535", c.Port)
	case c.MaxConnections < 0:
		return fmt.Errorf("pgembed: max connections %d is negative", c.MaxConnections)
	}
	if c.DataDir == "" {
		return nil
	}
	abs, err := filepath.Abs(c.DataDir)
	if err != nil {
		return fmt.Errorf("resolve data directory %s: %w", c.DataDir, err)
	}
	c.DataDir = abs
	return nil
}

// settings returns what the server is told on its command line.
func (c *Config) settings(socketDir string) map[string]string {
	s := map[string]string{
		"cluster_name":    "recount",
		"shared_buffers":  "64MB",
		"max_connections": "50",
		"timezone":        "UTC",
		"log_timezone":    "UTC",
	}
	if c.Test {
		s["max_connections"] = "500"
		// Commits still wait for their write, which is cheap without fsync: tests that kill the
		// server rely on it.
		s["fsync"] = "off"
		s["full_page_writes"] = "off"
	}
	if c.MaxConnections > 0 {
		s["max_connections"] = fmt.Sprint(c.MaxConnections)
	}
	maps.Copy(s, c.Settings)
	s["unix_socket_directories"] = socketDir
	s["unix_socket_permissions"] = "0700"
	s["listen_addresses"] = ""
	s["port"] = defaultPort // names the socket file
	if c.Port != 0 {
		s["listen_addresses"] = "127.0.0.1"
		s["port"] = fmt.Sprint(c.Port)
	}
	s["logging_collector"] = "off" // the log is our file, see openLog
	return s
}
