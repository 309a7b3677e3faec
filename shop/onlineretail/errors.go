package onlineretail

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// LineError says what is wrong with one line of the file.
type LineError struct {
	// Line counts from 1, which is the header.
	Line int
	// Column is the name of the column, or empty if it is about the whole line.
	Column string
	// Value is what the file has there.
	Value string
	// Reason says what it must be; it reads on after the value.
	Reason string
}

// Error says, for example, `line 17: UnitPrice "2.555" must be pounds with at
// most two decimals, e.g. 2.55`.
func (e *LineError) Error() string {
	if e.Column == "" {
		return fmt.Sprintf("line %d: %s", e.Line, e.Reason)
	}
	return fmt.Sprintf("line %d: %s %.80q %s", e.Line, e.Column, e.Value, e.Reason)
}

// maxLineErrors bounds what is reported of a file that is wrong throughout.
const maxLineErrors = 20

// FileError is returned by Read for a file with bad lines.
type FileError struct {
	// Lines are the first maxLineErrors of them, at least one.
	Lines []*LineError
}

// Error has one line for each.
func (e *FileError) Error() string {
	texts := make([]string, 0, len(e.Lines)+1)
	for _, l := range e.Lines {
		texts = append(texts, l.Error())
	}
	if len(e.Lines) == maxLineErrors {
		texts = append(texts, "there may be more")
	}
	return strings.Join(texts, "\n")
}

// Unwrap returns the lines.
func (e *FileError) Unwrap() []error {
	errs := make([]error, len(e.Lines))
	for i, l := range e.Lines {
		errs[i] = l
	}
	return errs
}

// Hint says how to get on.
func (e *FileError) Hint() string {
	for _, l := range e.Lines {
		if strings.Contains(l.Reason, "UTF-8") {
			return "convert the file, e.g. iconv -f ISO-8859-1 -t UTF-8 FILE"
		}
	}
	return "correct these lines or leave them out"
}

// FormatError is returned by Read for a file that is no list of invoices.
type FormatError struct{ reason, hint string }

func (e *FormatError) Error() string { return e.reason }

// Hint says how to get on.
func (e *FormatError) Hint() string { return e.hint }

// DamagedError is returned by Read for a file that cannot be read to its end.
type DamagedError struct {
	// Compressed says that the damage is in its compression.
	Compressed bool
	// Err says what is wrong, and where.
	Err error
}

func (e *DamagedError) Error() string {
	if e.Compressed {
		return fmt.Sprintf("the compressed file is damaged or cut off: %v", e.Err)
	}
	return fmt.Sprintf("the file is no CSV: %v", e.Err)
}

// Unwrap returns what is wrong.
func (e *DamagedError) Unwrap() error { return e.Err }

// Hint says how to get on.
func (e *DamagedError) Hint() string {
	if e.Compressed {
		return "download it again; gzip -t FILE tells whether it is whole"
	}
	return "save it as CSV with commas, quotes around texts that have commas, and quotes in texts doubled"
}

// Problem is what the server says about an answer that is not a success, see
// RFC 9457.
type Problem struct {
	Code   string `json:"code"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Hint   string `json:"hint"`
}

// RefusedError is returned for a request that the server refused for good.
type RefusedError struct {
	// Request is its method and path, with the idempotency key of a command,
	// which names the invoice.
	Request string
	// Status is that of HTTP.
	Status int
	// Replayed says that the server has refused it before, and only repeats so.
	Replayed bool
	Problem  Problem
}

// Error says, for example, "POST /v1/orders (Idempotency-Key
// online-retail/536365/place): 409 The order exists: order was placed already".
func (e *RefusedError) Error() string {
	return fmt.Sprintf("%s: %d %s: %s", e.Request, e.Status, e.Problem.Title, e.Problem.Detail)
}

// HTTPStatus is Status.
func (e *RefusedError) HTTPStatus() int { return e.Status }

// Hint says how to get on.
func (e *RefusedError) Hint() string {
	switch {
	case e.Problem.Code == "idempotency-key-reused":
		return "an earlier import has sent something else under the same key: import another file, or a changed one, into another database"
	case e.Problem.Code == "order-exists" || e.Problem.Code == "return-exists":
		return "the server has this invoice, and has forgotten the keys of an import more than 24 hours ago: the file is there already, or has to go into another database"
	case e.Problem.Code == "route-not-found" && strings.Contains(e.Request, "/confirm "):
		return "the server checks orders out by itself, and these were confirmed and shipped long ago: import into another database, with a server that runs with --checkout none"
	case e.Status == http.StatusUnauthorized:
		return strings.TrimSpace(e.Problem.Hint + " --token-file FILE sends a token.")
	case e.Replayed:
		return strings.TrimSpace(e.Problem.Hint + " The server repeats this refusal for as long as it keeps the key.")
	}
	return e.Problem.Hint
}

// GaveUpError is returned for a request that was retried for too long.
type GaveUpError struct {
	// Request is its method and path, with the idempotency key of a command.
	Request  string
	Attempts int
	// After is how long it was retried.
	After time.Duration
	// Err is the last answer, a *RefusedError, or that there was none.
	Err error
}

// Error says how often it was tried, and why in vain.
func (e *GaveUpError) Error() string {
	return fmt.Sprintf("given up after %d attempts in %v: %v", e.Attempts, e.After.Round(time.Millisecond), e.Err)
}

// Unwrap returns the last error.
func (e *GaveUpError) Unwrap() error { return e.Err }

// HTTPStatus is that of a service that cannot be reached, whatever the last answer was.
func (e *GaveUpError) HTTPStatus() int { return http.StatusServiceUnavailable }

// Hint says how to get on.
func (e *GaveUpError) Hint() string {
	return "check that the server runs and can be reached, then import again within 24 hours: it goes on where it stopped"
}
