package work

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/google/uuid"
)

// journal is a file of what happened, one thing on each line. A line goes out in one write,
// so that the end of the process loses at most the last.
type journal struct {
	mu   sync.Mutex
	file *os.File
}

func openJournal(path string) (*journal, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the journal: %w", err)
	}
	// An unfinished line must not become part of the next one; an empty line is
	// none.
	_, err = file.Write([]byte("\n"))
	return &journal{file: file}, err
}

func (j *journal) write(what any) error {
	line, err := json.Marshal(what)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	_, err = j.file.Write(append(line, '\n'))
	return err
}

func (j *journal) close() error { return j.file.Close() }

// LoadPlacings returns what a client recorded, in order: an order without an
// answer, then with each of its answers. There is none if the file is missing.
func LoadPlacings(path string) ([]Placing, error) {
	return load(path, func(p Placing) bool { return p.ID != "" })
}

// LoadOwn returns the appends that were acknowledged together with a row of their
// writer's own, by the id of the first event. There is none if the file is missing.
func LoadOwn(path string) ([]uuid.UUID, error) {
	return load(path, func(id uuid.UUID) bool { return id != uuid.Nil })
}

// load reads a journal. What is not whole is the end of a process that was killed.
func load[T any](path string, whole func(T) bool) (all []T, err error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("load what a worker did: %w", err)
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var one T
		if json.Unmarshal(lines.Bytes(), &one) == nil && whole(one) {
			all = append(all, one)
		}
	}
	return all, lines.Err()
}
