package chaos

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// Config says how to break what. Its zero value works.
type Config struct {
	// Seed makes the plan. Default: 1.
	Seed uint64
	// Duration is how long things are broken. Default: 1m.
	Duration time.Duration
	// Faults is how many there are, about. Default: five a second.
	Faults int
	// MinFaults is how many must have happened in the end: some find nothing to
	// break. Fewer are a violation. Default: 0, none.
	MinFaults int
	// Events is how many events the writers are to have acknowledged in the end,
	// at least; they go on until then, for a while. Fewer are a violation.
	// Default: 0, none.
	Events int
	// Servers, Writers, Readers, Projectors, Clients and Deliverers are how many
	// processes there are of each. Defaults: 3, 3, 3, 2, 1, 3. Negative: none.
	Servers, Writers, Readers, Projectors, Clients, Deliverers int
	// Orders is how many orders the importer imports. Default: 20. Negative: there
	// is no importer.
	Orders int
	// Only are the kinds of faults. Default: all.
	Only []Kind
	// SkipLosses leaves out the two phases at the end that lose acknowledged events
	// on purpose: the restore of a backup, and the failover.
	SkipLosses bool

	// Recount and Worker are the programs. Default: they are built, with the build
	// tag failpoints; that needs the Go toolchain and the source.
	Recount, Worker string
	// Mutant is the bug that all processes have, of package mutants. Default: none.
	Mutant string
	// Dir is where histories and logs are. Default: a temporary folder, removed
	// unless there are violations.
	Dir string
	// DiskSize bounds the data, in bytes, where it is on a file system of its own.
	// Default: 6 GiB.
	DiskSize int64
	// Command is the command line, for the report. Default: that of this process.
	Command string
	// Log gets what happens as it happens. Default: nobody.
	Log io.Writer
}

func (c *Config) setDefaults() error {
	if c.Seed == 0 {
		c.Seed = 1
	}
	if c.Duration == 0 {
		c.Duration = time.Minute
	}
	if c.Faults == 0 {
		c.Faults = max(1, int(5*c.Duration.Seconds()))
	}
	if c.DiskSize == 0 {
		c.DiskSize = 6 << 30
	}
	if c.Command == "" {
		c.Command = strings.Join(os.Args, " ")
	}
	if c.Log == nil {
		c.Log = io.Discard
	}
	for field, value := range map[*int]int{
		&c.Servers: 3, &c.Writers: 3, &c.Readers: 3, &c.Projectors: 2, &c.Clients: 1, &c.Deliverers: 3, &c.Orders: 20,
	} {
		switch {
		case *field == 0:
			*field = value
		case *field < 0:
			*field = 0
		}
	}
	switch {
	case c.Duration < time.Second:
		return fmt.Errorf("chaos: the duration must be at least 1s, it is %s", c.Duration)
	case c.Faults < 0 || c.MinFaults < 0 || c.Events < 0:
		return fmt.Errorf("chaos: faults and events must not be negative")
	case c.MinFaults > c.Faults:
		return fmt.Errorf("chaos: %d faults cannot happen if %d are planned", c.MinFaults, c.Faults)
	case c.Writers == 0:
		return fmt.Errorf("chaos: there must be a writer")
	case c.Servers == 0 && (c.Clients > 0 || c.Orders > 0):
		return fmt.Errorf("chaos: clients and the importer need a server")
	}
	return nil
}
