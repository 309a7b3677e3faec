//go:build !failpoints || !linux

package projections

// What faults take more than a line to plant, and nothing without the tag failpoints: see
// planted_enabled.go.

func planted(statement string) string { return statement }

func memoryFor[K comparable, Row any](p *foldProjector[K, Row]) *memory[K, Row] { return newMemory(p) }
