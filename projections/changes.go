package projections

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Images is what a change keeps of the row that changed. The empty one keeps no changes.
type Images string

// The choices.
const (
	// KeysOnly keeps only which row it was.
	KeysOnly Images = "keys_only"
	// New keeps the row as it is after the change, Old as it was before.
	New       Images = "new"
	Old       Images = "old"
	NewAndOld Images = "new_and_old"
)

// AllImages returns the choices.
func AllImages() []Images { return []Images{KeysOnly, New, Old, NewAndOld} }

// hasNew and hasOld report whether the row is kept as it is after the change, and as it was before.
func (i Images) hasNew() bool { return i == New || i == NewAndOld }
func (i Images) hasOld() bool { return i == Old || i == NewAndOld }

// Cover reports whether all that is in others is kept.
func (i Images) Cover(others Images) bool {
	return i != "" && (i.hasNew() || !others.hasNew()) && (i.hasOld() || !others.hasOld())
}

// defaultChangesKept is for how long changes are kept unless the table says otherwise.
const defaultChangesKept = 7 * 24 * time.Hour

// checkChanges returns what is wrong with what a table says of changes.
func (t Table) checkChanges() error {
	switch {
	case t.Changes != "" && !slices.Contains(AllImages(), t.Changes):
		return fmt.Errorf("it keeps changes as %q: set Changes to KeysOnly, New, Old or NewAndOld", t.Changes)
	case t.ChangesKept < 0:
		return errors.New("set ChangesKept to how long changes are kept, or leave it out")
	case t.ChangesKept > 0 && t.Changes == "":
		return errors.New("it says how long changes are kept, and keeps none: set Changes, too")
	}
	return nil
}

// ChangeKind is what became of a row.
type ChangeKind string

// The kinds.
const (
	Inserted ChangeKind = "insert"
	Modified ChangeKind = "modify"
	Removed  ChangeKind = "remove"
	// Replaced: all rows are others from here on, which no change says one by one: they were rebuilt, the view shows
	// those of another version, or changes are missing. Who keeps a copy reads the rows anew.
	Replaced ChangeKind = "replace"
)

// changeTypes are the types of the events of a ChangeLog. That of Replaced is one of the store's: only who names it gets it.
var changeTypes = map[ChangeKind]string{
	Inserted: "RowInserted", Modified: "RowModified", Removed: "RowRemoved", Replaced: "$RowsReplaced",
}

// Change is the data of an event of a ChangeLog.
type Change struct {
	Kind ChangeKind `json:"kind"`
	// Position is that of the event in the log that changed the row; of rows that were repaired or replaced, the position
	// that they were at.
	Position int64 `json:"position"`
	// Key has the columns of the key. Old and New are those of the row before and after, nil if there is no row or the image
	// is not asked for.
	Key json.RawMessage `json:"key,omitempty"`
	Old json.RawMessage `json:"old,omitempty"`
	New json.RawMessage `json:"new,omitempty"`
	// Rows says by what rows were replaced; nil: they were not.
	Rows *Replacement `json:"rows,omitempty"`
}

// Replacement says what rows there are from a change of kind Replaced on.
type Replacement struct {
	Generation int `json:"generation"`
	Version    int `json:"version"`
	// MissingFrom and MissingTo are the positions whose changes are not in the feed; 0: none are missing.
	MissingFrom int64 `json:"missing_from,omitempty"`
	MissingTo   int64 `json:"missing_to,omitempty"`
}
