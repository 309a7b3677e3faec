package sagas_test

import (
	"slices"
	"testing"
	"time"

	"github.com/57528e99/recount/sagas"
)

// TestClocksAreChanged: in Berlin from 2 to 3 on March 29, 2026, and from 3 to 2 on October 25, at 01:00 UTC; on Lord Howe Island by half an
// hour at 15:00 UTC, on April 4 and October 3.
func TestClocksAreChanged(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cron, from string
		want       []string // the next times
	}{
		{"CRON_TZ=Europe/Berlin 30 2 * * *", "2026-03-28T12:00:00Z", []string{"2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"}},
		{"CRON_TZ=Europe/Berlin 0,30 2,3 * * *", "2026-03-29T00:00:00Z", []string{"2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z", "2026-03-30T00:00:00Z"}},
		{"CRON_TZ=Europe/Berlin 30 2 * * *", "2026-10-24T12:00:00Z", []string{"2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"}},
		{"CRON_TZ=Europe/Berlin 30 2 * * *", "2026-10-25T00:45:00Z", []string{"2026-10-26T01:30:00Z"}},
		{"CRON_TZ=Europe/Berlin 0 3 * * *", "2026-10-25T00:45:00Z", []string{"2026-10-25T02:00:00Z"}},
		{"CRON_TZ=Europe/Berlin 30 * * * *", "2026-10-24T23:45:00Z", []string{"2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z"}},
		{"CRON_TZ=Europe/Berlin 30 * * * *", "2026-03-29T00:00:00Z", []string{"2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z"}},
		{"CRON_TZ=Australia/Lord_Howe 15 2 * * *", "2026-10-03T00:00:00Z", []string{"2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z"}},
		{"CRON_TZ=Australia/Lord_Howe 45 1 * * *", "2026-04-04T00:00:00Z", []string{"2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z"}},
		{"30 2 * * *", "2026-03-29T00:00:00Z", []string{"2026-03-29T02:30:00Z"}},
	} {
		at, err := time.Parse(time.RFC3339, c.from)
		var got []string
		for range c.want {
			if err == nil {
				at, err = sagas.Schedule{Cron: c.cron}.Next(at)
			}
			got = append(got, at.Format(time.RFC3339))
		}
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s, from %s: %v (%v), want %v", c.cron, c.from, got, err, c.want)
		}
	}
}
