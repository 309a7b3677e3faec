package delivery

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// maxSecret is how many bytes a secret may have.
const maxSecret = 64 << 10

// Read returns the value: what is in the environment or the file now, of a file without the newline at its end. Errors name the
// place, never the value. A value that is empty, or has control characters, is an error.
func (s Secret) Read() (string, error) {
	switch {
	case s.Env != "":
		value, ok := os.LookupEnv(s.Env)
		if !ok {
			return "", fmt.Errorf("the environment variable %s, which is to have a secret, is not set", s.Env)
		}
		return checkSecret(value, "the environment variable "+s.Env)
	case s.File != "":
		value, err := readSecret(s.File)
		if err != nil {
			return "", fmt.Errorf("read a secret: %w", err)
		}
		return checkSecret(value, "the file "+s.File)
	}
	return s.Value, nil
}

func checkSecret(value, place string) (string, error) {
	switch {
	case value == "":
		return "", fmt.Errorf("%s, which is to have a secret, is empty", place)
	case strings.IndexFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) >= 0:
		return "", fmt.Errorf("%s has a secret with control characters, which cannot be sent", place)
	}
	return value, nil
}

func readSecret(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err == nil && len(content) > maxSecret {
		err = &fs.PathError{Op: "read", Path: name, Err: errors.New("it has more than 64 KiB")}
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r"), err
}
