package simulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/57528e99/recount/shop/payment/gateway"
)

// File is where a gateway keeps its answers, a line of JSON each, so that they outlive the process. Nobody else may write to it.
type File struct{ *os.File }

// OpenFile opens a file, or makes one, and returns the answers that are in it. A line that a process has not finished is removed: its answer did
// not count.
func OpenFile(name string) (f File, past []gateway.Answer, err error) {
	if f.File, err = os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return f, nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("answers of the payment gateway in %s: %w", name, err), f.Close())
		}
	}()
	text, err := io.ReadAll(f)
	if err != nil {
		return f, nil, err
	}
	whole := text[:bytes.LastIndexByte(text, '\n')+1]
	for line := range bytes.Lines(whole) {
		var a gateway.Answer
		if err := json.Unmarshal(line, &a); err != nil {
			return f, nil, err
		}
		past = append(past, a)
	}
	if err := f.Truncate(int64(len(whole))); err != nil {
		return f, nil, err
	}
	_, err = f.Seek(int64(len(whole)), io.SeekStart)
	return f, past, err
}

// Keep is for Config.Keep.
func (f File) Keep(a gateway.Answer) error {
	text, err := json.Marshal(a)
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	return err
}
