package sagas

import (
	"time"

	"github.com/robfig/cron/v3"
)

// nextOf returns the first time of a schedule behind another one, where clocks are put forward and back too, as Debian's cron does (its page
// cron(8), "Daylight Saving Time and other time changes"). Where the schedule names hours, a time that a day does not have is when the clock
// has passed it, and one that it has twice is the first. Where it takes all hours, they are those that pass.
func nextOf(times cron.Schedule, after time.Time) time.Time {
	s, ok := times.(*cron.SpecSchedule)
	if !ok || s.Location == time.Local || s.Hour&allHours == allHours { // local is what the parser says of none
		return times.Next(after.UTC()).UTC()
	}
	onClock := *s
	onClock.Location = time.UTC // what a clock shows, as if that were UTC
	for shown := clockOf(after, s.Location); ; {
		if shown = onClock.Next(shown); shown.IsZero() {
			return time.Time{}
		}
		if at := firstShown(shown, s.Location); at.After(after) {
			return at
		}
	}
}

const allHours = 1<<24 - 1

// clockOf returns what a clock in a zone shows, as if that were UTC.
func clockOf(t time.Time, zone *time.Location) time.Time {
	_, offset := t.In(zone).Zone()
	return t.UTC().Add(time.Duration(offset) * time.Second)
}

// firstShown returns when a clock in a zone first shows that much, or has passed it.
func firstShown(shown time.Time, zone *time.Location) time.Time {
	// No zone is a day off, and none changes twice in two.
	_, before := shown.Add(-24 * time.Hour).In(zone).Zone()
	_, behind := shown.Add(24 * time.Hour).In(zone).Zone()
	for _, offset := range []int{max(before, behind), min(before, behind)} { // the larger is the earlier
		if at := shown.Add(-time.Duration(offset) * time.Second); clockOf(at, zone).Equal(shown) {
			return at.UTC()
		}
	}
	// It was put forward over it: by the offset of before, this is after that.
	start, _ := shown.Add(-time.Duration(before) * time.Second).In(zone).ZoneBounds()
	return start.UTC()
}
