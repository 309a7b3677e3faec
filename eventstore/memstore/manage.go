package memstore

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/57528e99/recount/eventstore"
)

// SetStreamMetadata implements eventstore.StreamManager.
func (s *Store) SetStreamMetadata(ctx context.Context, name string, m eventstore.StreamMetadata) error {
	if err := eventstore.ValidateStream(name); err != nil {
		return err
	}
	if err := m.Validate(); err != nil {
		return err
	}
	data, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode metadata of stream %q: %w", name, err)
	}
	_, err = s.mark(ctx, eventstore.MetadataStream(name), eventstore.Any, eventstore.Event{Type: eventstore.TypeMetadata, Data: data})
	return err
}

// DeleteStream implements eventstore.StreamManager.
func (s *Store) DeleteStream(ctx context.Context, name string, expected eventstore.ExpectedVersion) (eventstore.Appended, error) {
	if err := eventstore.ValidateStream(name); err != nil {
		return eventstore.Appended{}, err
	}
	if expected == eventstore.Any {
		expected = eventstore.StreamExists
	}
	return s.mark(ctx, name, expected, eventstore.Event{Type: eventstore.TypeDeleted})
}

// TombstoneStream implements eventstore.StreamManager.
func (s *Store) TombstoneStream(ctx context.Context, name string, expected eventstore.ExpectedVersion) (eventstore.Appended, error) {
	if err := eventstore.ValidateStream(name); err != nil {
		return eventstore.Appended{}, err
	}
	return s.mark(ctx, name, expected, eventstore.Event{Type: eventstore.TypeTombstone})
}

// mark appends an event of the store's own, whose name users may not write.
func (s *Store) mark(ctx context.Context, name string, expected eventstore.ExpectedVersion, e eventstore.Event) (eventstore.Appended, error) {
	if err := expected.Validate(); err != nil {
		return eventstore.Appended{}, err
	}
	a := eventstore.StreamAppend{Stream: name, Expected: expected, Events: []eventstore.Event{e}}
	results, err := s.append(ctx, []eventstore.StreamAppend{a}, nil)
	if err != nil {
		return eventstore.Appended{}, err
	}
	return results[0], nil
}

// StreamInfo implements eventstore.StreamManager.
func (s *Store) StreamInfo(ctx context.Context, name string) (eventstore.StreamInfo, error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return eventstore.StreamInfo{}, err
	}
	defer unlock()
	info, err := s.streamInfo(name)
	if err != nil {
		return eventstore.StreamInfo{}, fmt.Errorf("info of stream %q: %w", name, err)
	}
	return info, nil
}

func (s *Store) streamInfo(name string) (eventstore.StreamInfo, error) {
	st, ok := s.streams[name]
	if !ok {
		return eventstore.StreamInfo{}, eventstore.ErrStreamNotFound
	}
	metadata, err := s.metadata(name)
	return eventstore.StreamInfo{
		Stream: name, Version: st.Version, FirstVersion: st.FirstVersion,
		Deleted: st.Deleted, Tombstoned: st.Tombstoned, Metadata: metadata,
	}, err
}

func (s *Store) metadata(name string) (eventstore.StreamMetadata, error) {
	st, ok := s.streams[eventstore.MetadataStream(name)]
	if !ok {
		return eventstore.StreamMetadata{}, nil
	}
	return eventstore.ParseStreamMetadata(s.log[st.positions[st.Version]-1].Data)
}
