package pgtest

import "time"

// Impatient makes the test's end wait less for connections that are ending.
func (db *DB) Impatient() { db.patience = 100 * time.Millisecond }
