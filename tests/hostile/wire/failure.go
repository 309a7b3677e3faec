package wire

import (
	"fmt"
	"strings"
)

// Failure is an answer that is not in good order, or is not what it must be.
type Failure struct {
	Seed   uint64
	Worker int
	// Number counts the worker's requests.
	Number int
	// How says what was wrong with the request: the mutations that it takes for
	// the answer to be wrong.
	How string
	// Curl is the request as a line for a shell.
	Curl string
	// Answer is the beginning of what came back.
	Answer string
	// Err says what is wrong with the answer.
	Err error
}

func (f *Failure) Error() string {
	return fmt.Sprintf("seed %d, worker %d, request %d (%s): %v\n\t%s\n\t%s", f.Seed, f.Worker, f.Number, f.How, f.Err, f.Curl, f.Answer)
}

// Unwrap returns what is wrong.
func (f *Failure) Unwrap() error { return f.Err }

// Describe returns the beginning of an answer.
func Describe(a Answer) string {
	if a.Status == 0 {
		return "no answer"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d ", a.Status)
	_ = a.Header.WriteSubset(&b, nil) // a Builder takes everything
	b.WriteString(Cut(a.Body))
	return strings.ReplaceAll(b.String(), "\r\n", " | ")
}
