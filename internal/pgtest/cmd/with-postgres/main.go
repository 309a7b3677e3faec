// With-postgres runs a command with a PostgreSQL server for tests, whose address the command
// finds in $RECOUNT_TEST_DATABASE_URL, and ends with the command's status:
//
//	with-postgres go test ./...
//
// Without a command it prints the line that sets the variable in another shell, and keeps the
// server, and with it the databases of failed tests, until it is interrupted. If the variable is
// set already, the command runs with what it names.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/57528e99/recount/internal/pgembed"
	"github.com/57528e99/recount/internal/pgtest"
)

func main() {
	status, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "with-postgres:", err)
		var hinted interface{ Hint() string }
		if errors.As(err, &hinted) {
			fmt.Fprintln(os.Stderr, "hint:", hinted.Hint())
		}
	}
	os.Exit(status)
}

func run(command []string) (status int, err error) {
	// Interrupted, the command ends in its own way; the server has to outlive it.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)

	if os.Getenv(pgtest.EnvURL) == "" {
		s, err := pgembed.Start(context.Background(), pgembed.Config{Fresh: true, Test: true})
		if err != nil {
			return 1, err
		}
		defer func() {
			if stopErr := s.Stop(); stopErr != nil && err == nil {
				status, err = 1, stopErr
			}
		}()
		if err := os.Setenv(pgtest.EnvURL, s.DSN("postgres")); err != nil {
			return 1, err
		}
	}
	if len(command) == 0 {
		fmt.Printf("export %s='%s'\n", pgtest.EnvURL, os.Getenv(pgtest.EnvURL))
		<-signals
		return 0, nil
	}
	return runCommand(command, signals)
}

// runCommand runs the command to its end and returns its status.
func runCommand(command []string, signals <-chan os.Signal) (int, error) {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return 1, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case sig := <-signals:
			if sig != os.Interrupt { // the terminal has interrupted the command as well
				_ = cmd.Process.Signal(sig)
			}
		case err := <-ended:
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				return max(exit.ExitCode(), 1), nil // -1: ended by a signal
			}
			if err != nil {
				return 1, err
			}
			return 0, nil
		}
	}
}
