package sagas

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/57528e99/recount/commands"
)

// Schedule is a command that runs at certain times, once each, whichever processes there are. Each time is an instance of a saga, whose id is the
// time: it waits for it, begins that of the next one, and runs the command.
type Schedule struct {
	// Name is that of the schedule: its saga is called schedule_ and the name.
	Name string
	// Cron says when: minute, hour, day of month, month and day of week, as in "30 4 * * mon-fri", or "@daily"; not "@every", for which there is Every. It is UTC unless it begins with a zone, as
	// in "CRON_TZ=Europe/Berlin 30 4 * * *". Where clocks are put forward over such a time it is when they have been, and where they are put back the
	// first of the two; one that takes every hour takes those that pass.
	Cron string
	// Every says it otherwise: whenever so much time has passed since 1970-01-01 00:00 UTC, at least a second. One of the two is set.
	Every time.Duration
	// Command returns what to run.
	Command func(due time.Time) Command
	// Missed says what becomes of times at which no process was there. Default: RunOnce.
	Missed Missed
}

// Missed is what becomes of the times of a schedule at which no process was there.
type Missed string

const (
	// RunOnce runs the command once for all of them, for the first.
	RunOnce Missed = "once"
	// RunNone leaves out what is later than LateAfter.
	RunNone Missed = "skip"
	// LateAfter is from when on a time of a schedule is a missed one.
	LateAfter = time.Minute
)

// Saga returns the name of the schedule's saga.
func (s Schedule) Saga() string { return "schedule_" + s.Name }

// cronForms are those of the program cron, with the names of days and months.
var cronForms = cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)

// Next returns the first time behind another one; zero: there is none.
func (s Schedule) Next(after time.Time) (time.Time, error) {
	switch {
	case (s.Cron == "") == (s.Every == 0):
		return time.Time{}, errors.New("it needs one of Cron and Every")
	case s.Every != 0 && (s.Every < time.Second || s.Every%time.Second != 0):
		return time.Time{}, fmt.Errorf("every %s must be every so many seconds", s.Every)
	case s.Every != 0:
		return time.UnixMicro(0).Add(time.UnixMicro(after.UnixMicro()).Sub(time.UnixMicro(0)).Truncate(s.Every) + s.Every).UTC(), nil
	}
	if strings.Contains(s.Cron, "TZ=") && !strings.Contains(s.Cron, " ") { // Parse panics
		return time.Time{}, fmt.Errorf("cron %q: it has a zone and no times", s.Cron)
	}
	times, err := cronForms.Parse(s.Cron)
	if err != nil {
		return time.Time{}, fmt.Errorf("cron %q: %w", s.Cron, err)
	}
	if _, isEvery := times.(cron.ConstantDelaySchedule); isEvery { // it counts from whenever it is asked
		return time.Time{}, fmt.Errorf("cron %q: say it with Every", s.Cron)
	}
	return nextOf(times, after), nil
}

// scheduled is what an instance of a schedule knows.
type scheduled struct {
	Due    time.Time `json:"due"`
	Missed bool      `json:"missed,omitempty"`
}

// Define returns the saga. Begin begins its instance of the first time behind now, which it returns, and behind another one.
func (s Schedule) Define(begin func(ctx context.Context, s Schedule, due time.Time) (now time.Time, err error)) *Saga {
	return Define(s.Saga(), 1, func(b *Steps[scheduled]) {
		if first, err := s.Next(time.Unix(0, 0)); err != nil {
			b.saga.mistake("schedule %q: %w", s.Name, err)
		} else if first.IsZero() {
			b.saga.mistake("schedule %q: cron %q: it never comes", s.Name, s.Cron)
		}
		if s.Missed != "" && s.Missed != RunOnce && s.Missed != RunNone {
			b.saga.mistake("schedule %q: what was missed is run %s or %s, not %q", s.Name, RunOnce, RunNone, s.Missed)
		}
		b.WaitUntil("due", func(_ time.Time, d scheduled) time.Time { return d.Due })
		b.Call("next", func(ctx context.Context, _ Call, d *scheduled) error {
			now, err := begin(ctx, s, d.Due)
			d.Missed = s.isMissed(d.Due, now)
			return err
		}).Within(year).Attempts(Attempts{Max: 1 << 30})
		b.Choose("missed", When("no", func(d scheduled) bool { return !d.Missed }, func(b *Steps[scheduled]) {
			var command func(scheduled) Command
			if s.Command != nil {
				command = func(d scheduled) Command { return s.Command(d.Due) }
			}
			b.Command("run", command)
		}))
	})
}

// isMissed reports whether a time is left out: it is too late, or none of the schedule any more.
func (s Schedule) isMissed(due, now time.Time) bool {
	at, err := s.Next(due.Add(-time.Nanosecond))
	return err != nil || !at.Equal(due) || s.Missed == RunNone && now.Sub(due) > LateAfter
}

// BeginNext begins the instance of the first time of a schedule that is behind now and behind after, unless it has begun. Now is that of
// the Engine: that of who began the instance of after may be ahead of it.
func (e *Engine) BeginNext(ctx context.Context, s Schedule, after time.Time) (now time.Time, err error) {
	now = e.Now()
	if after.Before(now) {
		after = now
	}
	due, err := s.Next(after)
	if err != nil || due.IsZero() {
		return now, err
	}
	data, err := members(scheduled{Due: due})
	if err != nil {
		return now, err
	}
	id := due.Format("20060102T150405Z")
	why := commands.Options{CausationID: "schedule " + s.Name} // not the instance before: all would be one tree
	if _, err := e.Do(ctx, s.Saga(), id, Begin{ID: id, Data: data}, why); err != nil && !errors.Is(err, ErrOver) {
		return now, err
	}
	return now, nil
}
