package pgstore

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/57528e99/recount/eventstore"
)

// SetStreamMetadata implements eventstore.StreamManager.
func (s *Store) SetStreamMetadata(ctx context.Context, stream string, m eventstore.StreamMetadata) error {
	if err := eventstore.ValidateStream(stream); err != nil {
		return err
	}
	if err := m.Validate(); err != nil {
		return err
	}
	data, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("set metadata of stream %q: %w", stream, err)
	}
	_, err = s.append(ctx, []eventstore.StreamAppend{{
		Stream: eventstore.MetadataStream(stream), Expected: eventstore.Any,
		Events: []eventstore.Event{{Type: eventstore.TypeMetadata, Data: data}},
	}}, nil)
	return err
}

// StreamInfo implements eventstore.StreamManager.
func (s *Store) StreamInfo(ctx context.Context, stream string) (eventstore.StreamInfo, error) {
	if err := s.checkReadable(stream); err != nil {
		return eventstore.StreamInfo{}, err
	}
	state, err := s.readState(ctx, stream)
	if err != nil {
		return eventstore.StreamInfo{}, err
	}
	if !state.found {
		return eventstore.StreamInfo{}, notFound(stream)
	}
	return state.StreamInfo, nil
}

// DeleteStream implements eventstore.StreamManager.
func (s *Store) DeleteStream(ctx context.Context, stream string, expected eventstore.ExpectedVersion) (eventstore.Appended, error) {
	if expected == eventstore.Any {
		expected = eventstore.StreamExists
	}
	return s.mark(ctx, stream, expected, eventstore.TypeDeleted)
}

// TombstoneStream implements eventstore.StreamManager.
func (s *Store) TombstoneStream(ctx context.Context, stream string, expected eventstore.ExpectedVersion) (eventstore.Appended, error) {
	return s.mark(ctx, stream, expected, eventstore.TypeTombstone)
}

func (s *Store) mark(ctx context.Context, stream string, expected eventstore.ExpectedVersion, eventType string) (eventstore.Appended, error) {
	if err := eventstore.ValidateStream(stream); err != nil {
		return eventstore.Appended{}, err
	}
	if err := expected.Validate(); err != nil {
		return eventstore.Appended{}, err
	}
	results, err := s.append(ctx, []eventstore.StreamAppend{{
		Stream: stream, Expected: expected, Events: []eventstore.Event{{Type: eventType}},
	}}, nil)
	if err != nil {
		return eventstore.Appended{}, err
	}
	return results[0], nil
}
