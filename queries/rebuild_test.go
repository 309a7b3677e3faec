package queries_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/operations"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/queries"
)

// TestReadsDoNotNoticeRebuilds reads in all ways while rebuilds follow one another and remove what
// they replace: no read fails, and none sees less than was there before.
func TestReadsDoNotNoticeRebuilds(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.start()
	const orders = 40
	var at eventstore.Token
	for i := range orders {
		at = b.append(fmt.Sprintf("order-%d", i), placed{Status: "placed", At: day(1 + i%20), Total: 1})
	}
	if _, err := queries.Get(b.patiently(), b.reader, b.orders, "1", at); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	reads := map[string]func(context.Context) error{
		"Get": func(ctx context.Context) error {
			_, err := queries.Get(ctx, b.reader, b.orders, "7", at)
			return err
		},
		"Find": func(ctx context.Context) error {
			page, err := queries.Find(ctx, b.reader, b.orders, queries.List{OrderBy: "placed_at", Desc: true, Limit: 100})
			if err == nil && len(page.Items) != orders {
				err = fmt.Errorf("there are %d rows", len(page.Items))
			}
			return err
		},
		"SQL": func(ctx context.Context) error {
			sum, err := queries.SQL[int64](ctx, b.reader, at, `SELECT sum(total)::bigint FROM {orders}`)
			if err == nil && sum[0] < orders {
				err = fmt.Errorf("the sum is %d", sum[0])
			}
			return err
		},
	}
	for name, read := range reads {
		readers.Go(func() {
			for ctx.Err() == nil {
				if err := read(context.WithoutCancel(ctx)); err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
			}
		})
	}
	keep := 0
	for range 10 {
		_, err := r.Run(t.Context(), operations.Request{Kind: projections.Rebuild, Subject: "orders", Options: operations.Options{Keep: &keep}}, nil)
		if err != nil {
			t.Error(err)
		}
	}
	cancel()
	readers.Wait()
}
