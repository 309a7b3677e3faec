package work

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore/logcheck"
)

// LoadPlacings returns what a client recorded, in order: an order without an
// answer, then with each of its answers. There is none if the file is missing.
func LoadPlacings(path string) ([]Placing, error) { return load[Placing](path) }

// LoadOwn returns the appends that were acknowledged together with a row of their
// writer's own, by the id of the first event. There is none if the file is missing.
func LoadOwn(path string) ([]uuid.UUID, error) { return load[uuid.UUID](path) }

// LoadChanged returns what a reader recorded in its ChangedFile.
func LoadChanged(dir, name string) ([]Changed, error) { return load[Changed](ChangedFile(dir, name)) }

func load[T any](path string) (all []T, err error) {
	err = logcheck.ReadLines(path, func(text []byte) error {
		var one T
		err := json.Unmarshal(text, &one)
		all = append(all, one)
		return err
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("load what a worker did, in %s: %w", path, err)
	}
	return all, nil
}
