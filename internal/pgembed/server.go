//go:build unix

package pgembed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Server is a running PostgreSQL server. Its methods may be called from several goroutines.
type Server struct {
	config    Config
	dir       string
	lock      *os.File
	id        identity
	socketDir string
	logStart  int64  // where the log of this start begins
	password  string // of User over TCP; empty without TCP
	process   *os.Process
	stopped   chan struct{}
	stop      func() error
}

// Start runs a server and returns when it takes connections, creating its data and the database
// Database as needed. ctx bounds the start only: the server runs until Stop or until this process
// ends.
//
// Errors that have a Hint method: *NoBinariesError, *BinDirError, *RunningError, *RootError,
// *VersionError.
func Start(ctx context.Context, c Config) (*Server, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	bin, err := c.binaries()
	if err != nil {
		return nil, err
	}
	s := &Server{config: c, dir: c.DataDir, stopped: make(chan struct{})}
	s.stop = sync.OnceValue(s.stopOnce)
	if err := s.claim(ctx); err != nil {
		return nil, err
	}
	if err := s.start(ctx, bin); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// binaries finds the programs, of the version that wrote the data if there is some.
func (c *Config) binaries() (Binaries, error) {
	major := 0
	if _, err := os.Stat(c.DataDir); err == nil {
		if _, err := checkOwner(c.DataDir); err != nil {
			return Binaries{}, err
		}
		if major, err = dataMajor(c.DataDir); err != nil {
			return Binaries{}, err
		}
	}
	find := FindBinaries
	if c.BinDir != "" {
		find = func(major int) (Binaries, error) {
			bin, err := binariesIn(c.BinDir)
			return bin, cmp.Or(err, bin.check(major))
		}
	}
	bin, err := find(major)
	var none *NoBinariesError
	if major != 0 && errors.As(err, &none) && len(none.Found) > 0 {
		return bin, &VersionError{DataDir: c.DataDir, Data: major, none: none}
	}
	return bin, err
}

// claim takes the data directory for this process.
func (s *Server) claim(ctx context.Context) (err error) {
	if s.config.Fresh {
		s.dir, s.lock, err = newFreshDir(freshBase(s.config.Test))
		return err
	}
	if err := os.MkdirAll(filepath.Dir(s.dir), 0o755); err != nil {
		return fmt.Errorf("create the data directory's parent: %w", err)
	}
	if s.lock, err = lockDir(s.dir); err != nil {
		return err
	}
	if err = awaitGone(ctx, s.dir); err == nil {
		err = disown(s.dir)
	}
	if err != nil {
		return errors.Join(err, s.lock.Close())
	}
	return nil
}

// awaitGone waits for the server of a process that was killed to end as well.
func awaitGone(ctx context.Context, dir string) error {
	deadline := time.Now().Add(5 * time.Second)
	for {
		p, running := readPostmaster(dir)
		switch {
		case !running:
			return nil
		case time.Now().After(deadline):
			return &RunningError{DataDir: dir, PID: p.pid}
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

func (s *Server) start(ctx context.Context, bin Binaries) (err error) {
	if s.id, err = chooseIdentity(s.dir, bin); err != nil {
		return err
	}
	if !s.config.Fresh {
		// Whoever owns the data can start the server without us next time.
		if err := s.id.own(lockPath(s.dir)); err != nil {
			return fmt.Errorf("lock the data directory: %w", err)
		}
	}
	if !hasData(s.dir) {
		if err := initData(ctx, s.dir, bin, s.id, s.config.Test); err != nil {
			return err
		}
	}
	if s.socketDir, err = s.chooseSocketDir(); err != nil {
		return err
	}
	log, err := s.openLog()
	if err != nil {
		return err
	}
	defer log.Close() // the server has its own
	for deadline := time.Now().Add(orphanPatience); ; {
		if err := s.run(bin, log); err != nil {
			return err
		}
		err := s.awaitReady(ctx)
		if err == nil {
			return s.prepare(ctx)
		}
		said := s.tail(log)
		if !strings.Contains(said, orphansLeft) || time.Now().After(deadline) {
			return fmt.Errorf("%w; its log:\n%s", err, said)
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
		s.stopped = make(chan struct{})
	}
}

// The processes of a server whose main process was killed end by themselves, a moment later. Until
// then another server cannot start on their data, and says this.
const (
	orphansLeft    = "pre-existing shared memory block"
	orphanPatience = 5 * time.Second
)

// run starts the server on a thread that it keeps until the server has ended: on Linux the
// server is told to die with that thread.
func (s *Server) run(bin Binaries, log *os.File) error {
	args := []string{"-D", s.dir}
	settings := s.config.settings(s.socketDir)
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", name+"="+settings[name])
	}
	cmd := exec.Command(filepath.Join(bin.Dir, "postgres"), args...)
	cmd.Dir, cmd.Env = s.dir, environ()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = s.id.sysProcAttr()
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in the log
			close(s.stopped)
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	s.process = cmd.Process
	return nil
}

// Stop ends the server: it takes no more connections, aborts running transactions and writes
// what is to be written. It may be called more than once. The error is about what could not be
// removed.
func (s *Server) Stop() error { return s.stop() }

func (s *Server) stopOnce() error {
	if s.process != nil {
		s.shutdown()
	}
	var errs []error
	if s.socketDir != "" && s.socketDir != s.dir {
		errs = append(errs, os.RemoveAll(s.socketDir))
	}
	if s.config.Fresh {
		errs = append(errs, removeDir(s.dir))
	}
	return errors.Join(append(errs, s.lock.Close())...)
}

// shutdown asks more and more firmly. A signal to a process that has ended does nothing.
func (s *Server) shutdown() {
	steps := []struct {
		signal   syscall.Signal
		patience time.Duration
	}{{syscall.SIGINT, 10 * time.Second}, {syscall.SIGQUIT, 5 * time.Second}, {syscall.SIGKILL, time.Minute}}
	if s.config.Fresh {
		steps = steps[1:] // nothing needs to be written
	}
	for _, step := range steps {
		_ = s.process.Signal(step.signal)
		select {
		case <-s.stopped:
			return
		case <-time.After(step.patience):
		}
	}
}

// Stopped is closed when the server has ended, whether by Stop or by itself; LogFile then says
// why.
func (s *Server) Stopped() <-chan struct{} { return s.stopped }

// DSN is the address of a database on this server, over the unix socket.
func (s *Server) DSN(dbname string) string { return dsnFor(s.socketDir, s.port(), dbname) }

// TCPDSN is the address of a database on this server over TCP, password included; empty if
// Config.Port was 0.
func (s *Server) TCPDSN(dbname string) string {
	if s.config.Port == 0 {
		return ""
	}
	return tcpDSN(s.config.Port, s.password, dbname)
}

// PID is the number of the server's main process.
func (s *Server) PID() int { return s.process.Pid }

// DataDir is the absolute path of the data directory.
func (s *Server) DataDir() string { return s.dir }

func (s *Server) port() string {
	if s.config.Port == 0 {
		return defaultPort
	}
	return strconv.Itoa(s.config.Port)
}

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
