package work

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
)

// journal is a file of placings, one on each line. A line goes out in one write,
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

func (j *journal) write(p Placing) error {
	line, err := json.Marshal(p)
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
func LoadPlacings(path string) (all []Placing, err error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("load what a client did: %w", err)
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var p Placing
		// What cannot be read is the end of a process that was killed.
		if json.Unmarshal(lines.Bytes(), &p) == nil && p.ID != "" {
			all = append(all, p)
		}
	}
	return all, lines.Err()
}
