package main

import (
	"errors"
	"fmt"
	"time"
)

// Rule says when a device raises alerts.
type Rule struct {
	// High is from where on a reading raises an alert, Normal from where down one ends it: between the two it stays as it is, so that
	// a reading which trembles around a limit raises one alert, not a hundred.
	High   float64 `json:"high"`
	Normal float64 `json:"normal"`
	// SilentAfterS is after how many seconds without a reading the device is taken for offline.
	SilentAfterS int64 `json:"silent_after_s"`
}

func (r Rule) silentAfter() time.Duration { return time.Duration(r.SilentAfterS) * time.Second }

// Device is what commands on a device decide from.
type Device struct {
	// Rule is zero as long as the device was not registered.
	Rule Rule
	// LastAt is the time of the last reading.
	LastAt time.Time
	// Open are the alerts that are open.
	Open map[Kind]bool
	// Watches counts how often somebody was set to look whether there are readings.
	Watches int
}

// Kind is the kind of an alert.
type Kind string

// The kinds of alerts.
const (
	High    Kind = "high"
	Offline Kind = "offline"
)

// Event is an event of a device.
type Event interface{ Evolve(Device) Device }

// What happens to a device.
type (
	// Registered is the first event of every device.
	Registered struct {
		Rule
		At time.Time `json:"at"`
	}
	// Read is a reading.
	Read struct {
		Value float64   `json:"value"`
		At    time.Time `json:"at"`
	}
	// Raised says that there is an alert, and Cleared that it is over.
	Raised struct {
		Kind Kind      `json:"kind"`
		Text string    `json:"text"`
		At   time.Time `json:"at"`
	}
	Cleared struct {
		Kind Kind      `json:"kind"`
		At   time.Time `json:"at"`
	}
	// Minute says what the readings of a minute come to: the window minutes has closed.
	Minute struct {
		Key    string    `json:"key"`
		Start  time.Time `json:"start"`
		Events int64     `json:"events"`
		Values struct {
			Lowest  float64 `json:"lowest"`
			Highest float64 `json:"highest"`
			Mean    float64 `json:"mean"`
		} `json:"values"`
	}
	// Watched says that somebody is to look at a time whether there are readings.
	Watched struct {
		Device string    `json:"device"`
		Number int       `json:"number"`
		Until  time.Time `json:"until"`
	}
)

// Evolve implements Event, as it does for all of them.
func (e Registered) Evolve(d Device) Device {
	d.Rule, d.LastAt = e.Rule, e.At
	return d
}

func (e Read) Evolve(d Device) Device {
	if e.At.After(d.LastAt) {
		d.LastAt = e.At
	}
	return d
}

func (e Raised) Evolve(d Device) Device { return d.with(e.Kind, true) }

func (e Cleared) Evolve(d Device) Device { return d.with(e.Kind, false) }

func (e Watched) Evolve(d Device) Device {
	d.Watches = e.Number
	return d
}

// Evolve implements the Event of a stream of which nothing is decided.
func (Minute) Evolve(struct{}) struct{} { return struct{}{} }

func (d Device) with(k Kind, open bool) Device {
	d.Open = map[Kind]bool{High: d.Open[High], Offline: d.Open[Offline], k: open}
	return d
}

func (d Device) watch(id string, since time.Time) Watched {
	return Watched{id, d.Watches + 1, since.Add(d.Rule.silentAfter())}
}

// Why a command is refused.
var (
	ErrExists  = errors.New("the device is registered")
	ErrUnknown = errors.New("there is no such device")
	ErrRule    = errors.New("normal must be below high, and silent_after_s at least 1")
)

// Register asks for a device to be known.
type Register struct {
	ID string `json:"id" app:"id"`
	Rule
	At time.Time `json:"at" app:"time"`
}

// Decide implements commands.Command, as it does for all of them.
func (c Register) Decide(d Device) ([]Event, error) {
	switch {
	case d.Rule != Rule{}:
		return nil, ErrExists
	case c.Normal >= c.High || c.SilentAfterS < 1:
		return nil, ErrRule
	}
	d.Rule = c.Rule
	return []Event{Registered{c.Rule, c.At}, d.watch(c.ID, c.At)}, nil
}

// Take takes a reading. What follows from it is in the same append. One that comes late is kept, and raises nothing.
type Take struct {
	ID    string    `json:"-" app:"id"`
	Value float64   `json:"value"`
	At    time.Time `json:"at" app:"time"`
}

func (c Take) Decide(d Device) ([]Event, error) {
	if d.Rule == (Rule{}) {
		return nil, ErrUnknown
	}
	events := []Event{Read{c.Value, c.At}}
	switch {
	case c.At.Before(d.LastAt):
		return events, nil
	case c.Value >= d.Rule.High && !d.Open[High]:
		events = append(events, Raised{High, fmt.Sprintf("%g, from %g on it is too high", c.Value, d.Rule.High), c.At})
	case c.Value <= d.Rule.Normal && d.Open[High]:
		events = append(events, Cleared{High, c.At})
	}
	if d.Open[Offline] {
		events = append(events, Cleared{Offline, c.At}, d.watch(c.ID, c.At))
	}
	return events, nil
}

// Look looks whether a device was silent up to a time. If not, there is a next look: as late as it can be, so that there is a timer for each
// time that the device may be silent, and not for each reading.
type Look struct {
	ID string `app:"id"`
	At time.Time
}

func (c Look) Decide(d Device) ([]Event, error) {
	if silent := !c.At.Before(d.LastAt.Add(d.Rule.silentAfter())); silent {
		return []Event{Raised{Offline, "no reading since " + d.LastAt.Format(time.RFC3339), c.At}}, nil
	}
	return []Event{d.watch(c.ID, d.LastAt)}, nil
}
