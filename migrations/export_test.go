package migrations

import "io/fs"

// NewSet gives the tests other files than the ones that are built in.
func NewSet(files fs.FS) Set { return Set{files: files, table: embedded.table} }

// CheckFiles is what OfModule looks for.
func CheckFiles(s Set) error { return s.check("") }

var (
	Files       = files
	WhileLocked = whileLocked
)

const LockTimeout = lockTimeout
