package logcheck

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// Lines is a file of what happened, each thing as JSON on a line of its own. A line goes out in one
// write, so the end of the process loses at most an unfinished one. It is safe for concurrent use.
type Lines struct {
	mu   sync.Mutex
	file *os.File
}

// OpenLines opens a file to be appended to, and takes an unfinished line off.
func OpenLines(path string) (*Lines, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	if err := cutUnfinished(file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &Lines{file: file}, nil
}

// cutUnfinished takes off what is behind the last end of a line.
func cutUnfinished(file *os.File) error {
	end, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	one := make([]byte, 1)
	for ; end > 0; end-- {
		if _, err := file.ReadAt(one, end-1); err != nil {
			return err
		}
		if one[0] == '\n' {
			break
		}
	}
	return file.Truncate(end)
}

// Append appends a line.
func (l *Lines) Append(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err = l.file.Write(append(text, '\n'))
	return err
}

// Close closes the file.
func (l *Lines) Close() error { return l.file.Close() }

// ReadLines calls use with each line of a file that is finished. Its text is of use until use
// returns.
func ReadLines(path string, use func(text []byte) error) (err error) {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return readLines(file, use)
}

// maxLine bounds a line, in bytes.
const maxLine = 64 << 20

func readLines(from io.Reader, use func(text []byte) error) error {
	lines := bufio.NewScanner(from)
	lines.Buffer(make([]byte, 0, 1<<16), maxLine)
	// What has no end at the end of the file is no line.
	lines.Split(func(data []byte, _ bool) (int, []byte, error) { return bufio.ScanLines(data, false) })
	for n := 1; lines.Scan(); n++ {
		if err := use(lines.Bytes()); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	return lines.Err()
}
