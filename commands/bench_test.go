package commands

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/57528e99/recount/eventstore/memstore"
)

// BenchmarkHandle measures what the handler itself costs, on a store in memory.
func BenchmarkHandle(b *testing.B) {
	for _, bench := range []struct {
		name    string
		streams int
		config  Config
	}{
		{"hot stream", 1, Config{}},
		{"many streams", 1000, Config{}},
		{"many streams, no cache", 1000, Config{CacheSize: -1}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			store := memstore.New(memstore.Config{})
			h := newAccounts(b, store, bench.config)
			ids := make([]string, bench.streams)
			for i := range ids {
				ids[i] = fmt.Sprint(i)
			}
			var next atomic.Int64
			// It grows no state: what Evolve costs is the user's.
			c := touch{}
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					id := ids[int(next.Add(1))%len(ids)]
					if _, err := h.Handle(b.Context(), id, c, Options{}); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

type touch struct{}

func (touch) Decide(account) ([]accountEvent, error) { return []accountEvent{touched{}}, nil }

type touched struct{}

func (touched) Evolve(a account) account { a.Balance++; return a }
