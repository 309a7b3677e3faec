package main

import (
	"errors"
	"strings"
	"time"

	"github.com/57528e99/recount/projections"
)

// User is what commands on a user decide from.
type User struct {
	// Email is empty as long as the user has not signed up.
	Name, Email string
	// LastDay is the last day, in UTC, on which the user did something.
	LastDay time.Time
}

// Event is an event of a user.
type Event interface{ Evolve(User) User }

// What users do, and what happens to them. The process of package sagas finds the user by the id.
type (
	// SignedUp is the first event of every user.
	SignedUp struct {
		ID    string `json:"id"`
		Name  string `json:"name"`
		Email string `json:"email"`
		Act
	}
	LoggedIn struct {
		ID string `json:"id"`
		Act
	}
	// Viewed says that a user looked at a page.
	Viewed struct {
		Page string `json:"page"`
		Act
	}
	// Missed says that a user has signed up and not come back.
	Missed struct {
		Name  string    `json:"name"`
		Email string    `json:"email"`
		At    time.Time `json:"at"`
	}
)

// Act is what is known of whatever a user does.
type Act struct {
	At time.Time `json:"at"`
	// FirstOfDay says that the user had done nothing on that day before: who counts users by days need not know which they were.
	FirstOfDay bool `json:"first_of_day,omitempty"`
}

// Evolve implements Event, as it does for all of them.
func (e SignedUp) Evolve(User) User { return User{e.Name, e.Email, dayOf(e.At)} }

func (e LoggedIn) Evolve(u User) User { return u.after(e.Act) }

func (e Viewed) Evolve(u User) User { return u.after(e.Act) }

func (e Missed) Evolve(u User) User { return u }

func (u User) after(a Act) User {
	if a.FirstOfDay {
		u.LastDay = dayOf(a.At)
	}
	return u
}

func dayOf(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }

// act is what a user does at a time. Only who has signed up does anything.
func (u User) act(at time.Time) (Act, error) {
	if u.Email == "" {
		return Act{}, ErrUnknown
	}
	return Act{at, dayOf(at).After(u.LastDay)}, nil
}

// Why a command is refused.
var (
	ErrUnknown = errors.New("there is no such user")
	ErrExists  = errors.New("the user has signed up before")
	ErrEmail   = errors.New("email must be an address of mail")
)

// SignUp and the others are the commands.
type SignUp struct {
	ID    string    `json:"id" app:"id"`
	Name  string    `json:"name"`
	Email string    `json:"email"`
	At    time.Time `json:"at" app:"time"`
}

// Decide implements commands.Command, as it does for all of them.
func (c SignUp) Decide(u User) ([]Event, error) {
	switch {
	case u.Email != "":
		return nil, ErrExists
	case !strings.Contains(c.Email, "@"):
		return nil, ErrEmail
	}
	return []Event{SignedUp{c.ID, c.Name, c.Email, Act{c.At, true}}}, nil
}

// LogIn says that a user logs in.
type LogIn struct {
	ID string    `json:"-" app:"id"`
	At time.Time `json:"at" app:"time"`
}

func (c LogIn) Decide(u User) ([]Event, error) {
	act, err := u.act(c.At)
	return []Event{LoggedIn{c.ID, act}}, err
}

// View says that a user looks at a page.
type View struct {
	Page string    `json:"page"`
	At   time.Time `json:"at" app:"time"`
}

func (c View) Decide(u User) ([]Event, error) {
	act, err := u.act(c.At)
	return []Event{Viewed{c.Page, act}}, err
}

// Miss says that a user has not come back. The process does.
type Miss struct {
	At time.Time `app:"time"`
}

func (c Miss) Decide(u User) ([]Event, error) { return []Event{Missed{u.Name, u.Email, c.At}}, nil }

// last is the row of a user, by the id: what the user did last.
type last struct {
	Name   string
	Did    string
	At     time.Time
	Views  int64
	Missed bool
}

func newLast() *projections.Fold[string, last] {
	f := projections.NewFold[string, last](projections.Table{Name: "last_activity", Version: 1})
	projections.Upsert(f, projections.ByID, func(l *last, e SignedUp, _ projections.Recorded) error {
		*l = last{Name: e.Name, Did: "signed up", At: e.At}
		return nil
	})
	projections.Update(f, projections.ByID, func(l *last, e LoggedIn, _ projections.Recorded) error {
		l.Did, l.At, l.Missed = "logged in", e.At, false
		return nil
	})
	projections.Update(f, projections.ByID, func(l *last, e Viewed, _ projections.Recorded) error {
		l.Did, l.At, l.Views, l.Missed = "viewed "+e.Page, e.At, l.Views+1, false
		return nil
	})
	projections.Update(f, projections.ByID, func(l *last, _ Missed, _ projections.Recorded) error {
		l.Missed = true
		return nil
	})
	return f
}

// day is the row of a day, in UTC.
type day struct{ ActiveUsers, SignUps, LogIns, Views int64 }

func newDays() *projections.Fold[time.Time, day] {
	f := projections.NewFold[time.Time, day](projections.Table{Name: "days", Version: 1, Key: []string{"day"}})
	counts(f, func(d *day, _ SignedUp) { d.SignUps++ }, func(e SignedUp) Act { return e.Act })
	counts(f, func(d *day, _ LoggedIn) { d.LogIns++ }, func(e LoggedIn) Act { return e.Act })
	counts(f, func(d *day, _ Viewed) { d.Views++ }, func(e Viewed) Act { return e.Act })
	return f
}

// counts says what E counts for on its day, besides that its user was active.
func counts[E any](f *projections.Fold[time.Time, day], add func(*day, E), of func(E) Act) {
	key := func(e E, _ projections.Recorded) time.Time { return dayOf(of(e).At) }
	projections.Upsert(f, key, func(d *day, e E, _ projections.Recorded) error {
		if add(d, e); of(e).FirstOfDay {
			d.ActiveUsers++
		}
		return nil
	})
}
