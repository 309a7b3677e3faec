package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/pgtest"
)

// Everybody who asks at the same time gets the answer to his own question, and
// nobody's context ends the questions of the others.
func TestReceiptsAreLookedUpTogether(t *testing.T) {
	t.Parallel()
	s := open(t, pgtest.New(t))
	const n = 50
	receipt := func(i int) *eventstore.Receipt {
		return &eventstore.Receipt{Scope: "test", Key: fmt.Sprint(i), Fingerprint: []byte{byte(i)}, Answer: fmt.Appendf(nil, "answer %d", i)}
	}
	for i := range n {
		a := eventstore.StreamAppend{Stream: fmt.Sprintf("lookup-%d", i), Expected: eventstore.Any, Events: []eventstore.Event{{Type: "Happened"}}}
		if _, err := s.Append(t.Context(), a, eventstore.AppendOptions{Receipt: receipt(i)}); err != nil {
			t.Fatal(err)
		}
	}
	var group sync.WaitGroup
	for i := range 10 * n {
		group.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if i%7 == 0 {
				cancel()
			}
			// Every other key is nobody's.
			key, known := i%(2*n), i%(2*n) < n
			stored, err := s.Receipt(ctx, "test", fmt.Sprint(key))
			switch {
			case i%7 == 0 && errors.Is(err, context.Canceled):
			case !known && errors.Is(err, eventstore.ErrReceiptNotFound):
			case known && err == nil && string(stored.Answer) == fmt.Sprintf("answer %d", key):
			default:
				t.Errorf("Receipt(%d) = %q, %v", key, stored.Answer, err)
			}
		})
	}
	group.Wait()
}
