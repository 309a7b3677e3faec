package storetest

import (
	"errors"

	"pgregory.net/rapid"

	"github.com/57528e99/recount/eventstore"
)

// appendSeveral appends to two streams, which may be one, as one append.
func (m *model) appendSeveral(t *rapid.T) {
	var appends []eventstore.StreamAppend
	after := make(map[string]modelStream) // as the second append sees them
	var want error
	for range 2 {
		name, now := m.pick(t)
		s, ok := after[name]
		if !ok {
			s = *now
		}
		a := m.drawAppend(t, name, s)
		if want == nil {
			want = s.refusal(a.Expected)
		}
		s.version, s.deleted = s.version+int64(len(a.Events)), false
		after[name] = s
		appends = append(appends, a)
	}
	if want != nil {
		m.refused("append to several streams", want, func() error { _, err := m.tryAppendStreams(appends...); return err })
		return
	}
	before := len(m.done)
	for i, done := range m.appendStreams(appends...) {
		m.wrote(appends[i], done)
	}
	// A retry must repeat all of it, which the action for single appends does not.
	m.done = m.done[:before]
}

// appendOnce appends with one of a few receipts, so that some are known.
func (m *model) appendOnce(t *rapid.T) {
	name, s := m.pick(t)
	a := m.drawAppend(t, name, *s)
	r := receipt(m.prefix + rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, "key"))
	if first, known := m.answers[r.Key]; known {
		m.refused("append with a known receipt", eventstore.ErrReceiptKnown, func() error {
			_, err := m.appendWith(r, a)
			var stored *eventstore.ReceiptKnownError
			if errors.As(err, &stored) {
				m.wantStored(stored.Stored, r, first)
			}
			return err
		})
		return
	}
	if want := s.refusal(a.Expected); want != nil {
		m.refused("append with a receipt", want, func() error { _, err := m.appendWith(r, a); return err })
		return
	}
	done, err := m.appendWith(r, a)
	if err != nil {
		t.Fatalf("append with a receipt: %v", err)
	}
	m.wrote(a, done)
	m.answers[r.Key] = done
}
