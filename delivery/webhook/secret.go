package webhook

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"

	"github.com/57528e99/recount/delivery"
)

// maxSecret is how many bytes a secret may have.
const maxSecret = 64 << 10

// secret is a value, or where it is found. It is looked up when it is used.
type secret struct {
	delivery.Secret

	mu    sync.Mutex
	info  fs.FileInfo // of the file, when it was read last
	value string
}

// known reports whether the value is in the definition, and so no secret.
func (s *secret) known() bool { return s.Env == "" && s.File == "" }

// read returns the value. A file is read again if it has changed, or if again is set: a change within one tick of
// the file system's clock shows in nothing but the content. Errors name the place, never the value.
func (s *secret) read(again bool) (string, error) {
	switch {
	case s.Env != "":
		value, ok := os.LookupEnv(s.Env)
		return s.check(value, ok, "the environment variable "+s.Env)
	case s.File != "":
		return s.readFile(again)
	}
	return s.Value, nil
}

func (s *secret) check(value string, ok bool, place string) (string, error) {
	switch {
	case !ok:
		return "", fmt.Errorf("%s, which is to have a secret, is not set", place)
	case value == "":
		return "", fmt.Errorf("%s, which is to have a secret, is empty", place)
	case !isFieldValue(value):
		return "", fmt.Errorf("%s has a secret with control characters, which cannot be sent", place)
	}
	return value, nil
}

func (s *secret) readFile(again bool) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	info, err := os.Stat(s.File)
	if err != nil {
		return "", fmt.Errorf("read a secret: %w", err)
	}
	same := s.info != nil && os.SameFile(s.info, info) && s.info.ModTime().Equal(info.ModTime()) && s.info.Size() == info.Size()
	if same && !again {
		return s.value, nil
	}
	value, err := readSecret(s.File)
	if err != nil {
		return "", fmt.Errorf("read a secret: %w", err)
	}
	if value, err = s.check(value, true, "the file "+s.File); err != nil {
		return "", err
	}
	s.info, s.value = info, value
	return value, nil
}

// readSecret returns the content of a file without the newline at its end.
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
