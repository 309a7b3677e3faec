package webhook

import (
	"fmt"
	"io/fs"
	"os"
	"sync"

	"github.com/57528e99/recount/delivery"
)

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
// the file system's clock shows in nothing but the content.
func (s *secret) read(again bool) (string, error) {
	if s.File == "" {
		return s.Read()
	}
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
	value, err := s.Read()
	if err != nil {
		return "", err
	}
	s.info, s.value = info, value
	return value, nil
}
