// Package rowmap maps Go values to table columns: which column a field is, of which SQL type,
// and how a value gets there and back.
//
// A struct's columns are its fields in order. A column is named by the field's `db` tag, or by
// the field's name in snake case. Its type follows from the field's:
//
//	string                          text COLLATE "C"
//	int…, uint8, uint16, uint32     bigint
//	float32, float64                double precision
//	bool                            boolean
//	time.Time                       timestamptz
//	uuid.UUID or another [16]byte   uuid
//	[]byte                          bytea, nil is NULL
//	struct, slice, map, array       jsonb
//	*T                              the column of T, nil is NULL
//
// A value must come back from its row as it went in, or a fold would see one thing in memory and
// another after a restart. What cannot is refused with words: unexported fields, interfaces
// (numbers in them change their type), and types that write themselves in their own way to SQL.
// Normalize takes from times what a column cannot hold, before anybody looks at them.
package rowmap
