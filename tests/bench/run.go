package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime/pprof"

	"github.com/57528e99/recount/internal/pgembed"
	"github.com/57528e99/recount/tests/machine"
)

// Benchmark is one question about speed.
type Benchmark interface {
	// Name is the one in reports.
	Name() string
	// Check reports settings that cannot be measured with.
	Check() error
	run(ctx context.Context, env *Env) ([]Result, map[string]float64, error)
}

// Options say where a benchmark runs.
type Options struct {
	// Database is the address of a PostgreSQL. Default: one that is started and thrown away.
	Database string
	// Version and Command go into the report: the program and its command line.
	Version, Command string
	// Progress is told what is being done. Default: nobody is.
	Progress func(string) `json:"-"`
	// CPUProfile is a file for a profile of this process while it measures, which `go tool pprof`
	// reads. Default: none.
	CPUProfile string
}

// ErrInvalid is what Check returns.
var ErrInvalid = errors.New("invalid benchmark")

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// serverSettings are those of the server that Run starts: a small one, tuned as little as anybody
// would, and durable. Checkpoints are moved out of the short time of a benchmark.
var serverSettings = map[string]string{
	"shared_buffers": "512MB", "max_wal_size": "8GB", "checkpoint_timeout": "30min", "fsync": "on", "synchronous_commit": "on",
}

const serverConnections = 600

// Run measures b.
func Run(ctx context.Context, o Options, b Benchmark) (_ Report, err error) {
	if err := b.Check(); err != nil {
		return Report{}, err
	}
	env := &Env{dsn: o.Database, progress: o.Progress}
	if env.dsn == "" {
		env.say("starting PostgreSQL")
		server, err := pgembed.Start(ctx, pgembed.Config{Fresh: true, MaxConnections: serverConnections, Settings: maps.Clone(serverSettings)})
		if err != nil {
			return Report{}, err
		}
		defer func() { err = errors.Join(err, server.Stop()) }()
		env.dsn = server.DSN(pgembed.Database)
	}
	r := Report{Bench: b.Name()}
	if r.Machine, err = machine.Describe(ctx, env.dsn); err != nil {
		return Report{}, err
	}
	r.Machine.Recount, r.Machine.Command = o.Version, o.Command
	if noter, ok := b.(interface{ notes() []string }); ok {
		r.Notes = noter.notes()
	}
	err = profiled(o.CPUProfile, func() error {
		r.Results, r.Ratios, err = b.run(ctx, env)
		return err
	})
	if err != nil {
		return Report{}, fmt.Errorf("measure %s: %w", b.Name(), err)
	}
	return r, nil
}

// profiled runs f and writes a profile of the time meanwhile, if it is told where to.
func profiled(file string, f func() error) (err error) {
	if file == "" {
		return f()
	}
	to, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("write a profile: %w", err)
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	if err := pprof.StartCPUProfile(to); err != nil {
		return fmt.Errorf("write a profile: %w", err)
	}
	defer pprof.StopCPUProfile()
	return f()
}
