package goods

import "errors"

// ErrInvalid is matched by *InvalidError.
var ErrInvalid = errors.New("invalid input")

// InvalidError is returned for input that no state could make acceptable.
type InvalidError struct {
	// Field is a JSON pointer into the command, e.g. /lines/3/quantity.
	Field string
	// Reason says what the field must be; it reads on after its name.
	Reason string
}

func (e *InvalidError) Error() string { return "invalid input: " + e.Field + " " + e.Reason }

// Is matches ErrInvalid.
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }

// InvalidField returns Field and Reason. Transports find them by this method,
// without knowing the type.
func (e *InvalidError) InvalidField() (pointer, reason string) { return e.Field, e.Reason }

func invalid(field, reason string) error { return &InvalidError{Field: field, Reason: reason} }
