//go:build !failpoints || !linux

package pgstore

import "context"

// What faults take more than a line to plant, and nothing without the tag
// failpoints: see planted_enabled.go.

func planted(statement string) string { return statement }

func (a *appender) readEarly(context.Context, []*request) (*facts, error) { return nil, nil }

func (f *facts) spoil(*facts) {}

func answerEarly([]*request, *plan) {}

func (p *plan) withoutReceipts() *plan { return p }

func (a *appender) writeReceiptsLate(*plan) {}
