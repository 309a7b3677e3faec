package sagas

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestHeartbeat: the context of a call lasts as long as it says that it is alive.
func TestHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Call
		ctx, stop := c.watch(t.Context(), time.Minute)
		defer stop()
		for range 10 {
			time.Sleep(59 * time.Second)
			c.Beat()
		}
		time.Sleep(59 * time.Second)
		if ctx.Err() != nil {
			t.Errorf("the context of a call that is alive has ended: %v", context.Cause(ctx))
		}
		time.Sleep(2 * time.Second)
		if !errors.Is(context.Cause(ctx), ErrNoHeartbeat) {
			t.Errorf("the context of a call that is silent ends with %v", context.Cause(ctx))
		}
	})
}
