package memstore

import (
	"context"

	"github.com/57528e99/recount/eventstore"
)

// Contents implements eventstore.ContentLister.
func (s *Store) Contents(ctx context.Context) ([]eventstore.Content, error) {
	v, err := s.viewAll(ctx, eventstore.ReadOptions{})
	if err != nil {
		return nil, err
	}
	var all []eventstore.Content
	index := make(map[eventstore.Content]int)
	for position := v.low; position <= v.high; position++ {
		e := v.at(position)
		c := eventstore.Content{Category: eventstore.Category(e.Stream), Type: e.Type, SchemaVersion: e.SchemaVersion}
		i, ok := index[c]
		if !ok {
			i, index[c] = len(all), len(all)
			c.First = position
			all = append(all, c)
		}
		all[i].Events++
	}
	return all, nil
}
