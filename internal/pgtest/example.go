package pgtest

import (
	"fmt"
	"os"
	"testing"
)

// Example is New for an Example function, which has no testing.T. Call done at
// its end: what is wrong then gets into its output. Without PostgreSQL it ends the
// process, saying what to install: examples cannot be skipped.
func Example(name string) (db *DB, done func()) {
	e := &exampleTB{name: name}
	return New(e), e.end
}

// exampleTB is as much of a testing.TB as New needs.
type exampleTB struct {
	testing.TB
	name     string
	cleanups []func()
}

func (e *exampleTB) Helper()          {}
func (e *exampleTB) Name() string     { return e.name }
func (e *exampleTB) Failed() bool     { return false }
func (e *exampleTB) Cleanup(f func()) { e.cleanups = append(e.cleanups, f) }

func (e *exampleTB) Logf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, e.name+": "+format+"\n", args...)
}

// Errorf writes to the output of the example, which is not the one wanted then.
func (e *exampleTB) Errorf(format string, args ...any) {
	fmt.Printf(e.name+": "+format+"\n", args...)
}

func (e *exampleTB) Fatalf(format string, args ...any) {
	e.Logf(format, args...)
	os.Exit(1)
}

func (e *exampleTB) Fatal(args ...any) { e.Fatalf("%s", fmt.Sprint(args...)) }

func (e *exampleTB) Skipf(format string, args ...any) { e.Fatalf(format, args...) }

func (e *exampleTB) Skip(args ...any) { e.Fatal(args...) }

func (e *exampleTB) end() {
	for i := len(e.cleanups) - 1; i >= 0; i-- {
		e.cleanups[i]()
	}
}
