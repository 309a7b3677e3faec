package delivery

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Whoever may make a subscription names its secrets and the address that they are sent to: what may be named is only what
// is meant to be sent.
const (
	// SecretPrefix is what the names of environment variables with secrets begin with.
	SecretPrefix = "RECOUNT_SECRET_"
	// secretsDirVariable names the directory of files with secrets.
	secretsDirVariable = "RECOUNT_SECRETS_DIR"
	// defaultSecretsDir is where Docker and others put secrets.
	defaultSecretsDir = "/run/secrets"
)

// maxSecret is how many bytes a secret may have.
const maxSecret = 64 << 10

// IsReference reports whether the value is elsewhere, and to be kept secret.
func (s Secret) IsReference() bool { return s.Env != "" || s.File != "" }

// Read returns the value: what is in the environment or the file now, of a file without the newline at its end. Errors name the
// place, never the value. A value that is empty, or has control characters, is an error, and so is a file outside of the directory
// in the environment variable RECOUNT_SECRETS_DIR, by default /run/secrets.
func (s Secret) Read() (string, error) {
	switch {
	case s.Env != "":
		value, ok := os.LookupEnv(s.Env)
		if !ok {
			return "", fmt.Errorf("the environment variable %s, which is to have a secret, is not set", s.Env)
		}
		return checkSecret(value, "the environment variable "+s.Env)
	case s.File != "":
		value, err := s.ReadText()
		if err != nil {
			return "", err
		}
		return checkSecret(value, "the file "+s.File)
	}
	return s.Value, nil
}

// ReadText is Read for what has lines, such as certificates and keys in PEM.
func (s Secret) ReadText() (string, error) {
	if s.File == "" {
		value := os.Getenv(s.Env)
		if value == "" {
			return "", fmt.Errorf("the environment variable %s, which is to have a secret, is not set or empty", s.Env)
		}
		return value, nil
	}
	value, err := readSecret(s.File)
	if err != nil {
		return "", fmt.Errorf("read a secret: %w", err)
	}
	return value, nil
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
	dir := cmp.Or(os.Getenv(secretsDirVariable), defaultSecretsDir)
	inside, err := filepath.Rel(dir, name)
	if err != nil || !filepath.IsLocal(inside) {
		return "", fmt.Errorf("the file %s is not in %s, which %s may name another directory for", name, dir, secretsDirVariable)
	}
	f, err := os.OpenInRoot(dir, inside)
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
