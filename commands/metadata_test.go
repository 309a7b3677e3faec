package commands

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/memstore"
)

func metadataOf(t *testing.T, store eventstore.Reader) []Metadata {
	t.Helper()
	var all []Metadata
	for e, err := range store.ReadAll(t.Context(), eventstore.ReadOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		m, err := ParseMetadata(e.Metadata)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

func TestMetadataIsInEveryEvent(t *testing.T) {
	t.Parallel()
	store := memstore.New(memstore.Config{})
	h := newAccounts(t, store, Config{})
	two := decideFunc(func(account) ([]accountEvent, error) { return []accountEvent{deposited{1}, deposited{2}}, nil })
	at := time.Date(2011, 12, 9, 13, 50, 0, 123456789, time.FixedZone("CET", 3600))
	mustHandle(t, h, "1", two, Options{
		CorrelationID: "c", CausationID: "because", Actor: "ada", At: at, TraceParent: "00-1-2-01", TraceState: "k=v",
	})
	want := Metadata{CorrelationID: "c", CausationID: "because", Actor: "ada", At: at.UTC().Truncate(time.Microsecond), TraceParent: "00-1-2-01", TraceState: "k=v"}
	got := metadataOf(t, store)
	if len(got) != 2 || got[0] != want || got[1] != want {
		t.Errorf("metadata = %+v, want %+v twice", got, want)
	}
}

func TestCorrelationIDIsMadeIfMissing(t *testing.T) {
	t.Parallel()
	store := memstore.New(memstore.Config{})
	h := newAccounts(t, store, Config{})
	mustHandle(t, h, "1", deposit{1}, Options{})
	mustHandle(t, h, "1", deposit{1}, Options{})
	got := metadataOf(t, store)
	for _, m := range got {
		id, err := uuid.Parse(m.CorrelationID)
		if err != nil || id.Version() != 7 {
			t.Errorf("correlation id %q is no UUID of version 7", m.CorrelationID)
		}
		if m != (Metadata{CorrelationID: m.CorrelationID}) {
			t.Errorf("metadata = %+v, want the correlation id only", m)
		}
	}
	if got[0].CorrelationID == got[1].CorrelationID {
		t.Error("two commands have one correlation id")
	}
}

func TestMetadataThatCannotBeEncoded(t *testing.T) {
	t.Parallel()
	h := newAccounts(t, memstore.New(memstore.Config{}), Config{})
	if _, err := h.Handle(t.Context(), "1", deposit{1}, Options{At: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}); err == nil {
		t.Error("business time in the year 10000: no error")
	}
	wantBalance(t, h, "1", 0, -1)
}

func TestParseMetadata(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		data string
		want Metadata
		ok   bool
	}{
		{"", Metadata{}, true},
		{"{}", Metadata{}, true},
		{`{"actor":"ada","team":["x"]}`, Metadata{Actor: "ada"}, true},
		{`{"actor":1}`, Metadata{}, false},
		{`[]`, Metadata{}, false},
		{`{`, Metadata{}, false},
	} {
		got, err := ParseMetadata([]byte(c.data))
		if got != c.want || (err == nil) != c.ok {
			t.Errorf("ParseMetadata(%q) = %+v, %v", c.data, got, err)
		}
	}
}
