package commands

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
)

func FuzzParseMetadata(f *testing.F) {
	f.Add([]byte(`{"correlation_id":"1","at":"2011-12-09T12:50:00+01:00","tracestate":"a=b","more":[{}]}`))
	f.Add([]byte("null"))
	f.Add([]byte("{\"actor\":\"\xff\"}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := ParseMetadata(data)
		if err != nil {
			if m != (Metadata{}) {
				t.Errorf("ParseMetadata(%q) = %+v and an error", data, m)
			}
			return
		}
		if len(data) > 0 && bytes.TrimSpace(data)[0] != '{' {
			t.Errorf("ParseMetadata takes %q, which is no object", data)
		}
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatalf("%+v cannot be written: %v", m, err)
		}
		back, err := ParseMetadata(text)
		if again, err2 := json.Marshal(back); err != nil || err2 != nil || !bytes.Equal(again, text) {
			t.Errorf("%s is read back as %s, %v, %v", text, again, err, err2)
		}
	})
}

// FuzzDecodeSnapshot reads snapshots whose checksum is right: what is in them
// may come from another version of the program.
func FuzzDecodeSnapshot(f *testing.F) {
	type state struct {
		Text string           `json:"text"`
		N    int64            `json:"n"`
		Map  map[string]int64 `json:"map,omitempty"`
	}
	f.Add([]byte(`{"text":"a","n":1,"map":{"b":2}}`), int64(3), int64(10), int64(1_700_000_000_000_000))
	f.Add([]byte(`{"text":1}{}`), int64(-1), int64(0), int64(-1))
	f.Add([]byte("null"), int64(0), int64(1), int64(0))
	f.Fuzz(func(t *testing.T, data []byte, version, position, micros int64) {
		s := Snapshot{Stream: "a-1", Decider: "d", SchemaVersion: 1, Version: version, Position: position,
			EventID: uuid.Max, RecordedAt: time.UnixMicro(micros), State: data}
		if _, err := decodeSnapshot[state](s, "a-1", "d", 1); err == nil {
			t.Error("a snapshot without its checksum is taken")
		}
		s.Checksum = s.checksum()
		now, err := decodeSnapshot[state](s, "a-1", "d", 1)
		if err != nil {
			return
		}
		if now.version != version || version < 0 {
			t.Errorf("version %d is read as %d", version, now.version)
		}
		if now.state.Map != nil && len(now.state.Map) == 0 {
			return // an empty map comes back as none, which newSnapshot refuses
		}
		again, err := newSnapshot("d", 1, now)
		if err != nil {
			t.Fatalf("a snapshot of %+v cannot be made: %v", now.state, err)
		}
		if back, err := decodeSnapshot[state](again, "a-1", "d", 1); err != nil || back.version != version {
			t.Errorf("it is read back as %+v, %v", back, err)
		}
		damaged := again
		damaged.Position++
		if _, err := decodeSnapshot[state](damaged, "a-1", "d", 1); err == nil {
			t.Error("a snapshot of another position is taken")
		}
	})
}
