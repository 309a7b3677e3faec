package queries

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestHowLongReadsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &Reader{config: Config{Wait: time.Second}}
		minute, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for name, c := range map[string]struct {
			ctx  context.Context
			want time.Duration
		}{
			"nothing said":         {t.Context(), time.Second},
			"a deadline":           {minute, time.Minute},
			"a wait":               {WithWait(t.Context(), 3*time.Second), 3 * time.Second},
			"a wait in a deadline": {WithWait(minute, 3*time.Second), 3 * time.Second},
			"a wait beyond it":     {WithWait(minute, time.Hour), time.Minute},
			"no wait":              {WithWait(minute, 0), 0},
		} {
			ctx, cancel := r.waiting(c.ctx)
			deadline, _ := ctx.Deadline()
			cancel()
			if got := time.Until(deadline); got != c.want {
				t.Errorf("%s: waits %v, want %v", name, got, c.want)
			}
		}
	})
}
