package onlineretail

import (
	"fmt"
	"strings"
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
