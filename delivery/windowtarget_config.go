package delivery

import (
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/57528e99/recount/delivery/window"
)

// WindowTarget counts events in windows of their own time, and appends an event to the log when one has closed. All but Delay and Idle stay what
// they were when the subscription was made.
type WindowTarget struct {
	// Kind is how windows lie in time. Default: "tumbling".
	Kind window.Kind `json:"kind"`
	// Size is how long tumbling and sliding windows are, from 1 s to 366 days; Every after how long the next sliding one begins, such that at
	// most 100 overlap. They are laid out from 1970 on in UTC. Gap is after how long without an event a session has ended.
	Size  Duration `json:"size,omitzero"`
	Every Duration `json:"every,omitzero"`
	Gap   Duration `json:"gap,omitzero"`
	// Time is the JSON pointer of an event's time: text as in RFC 3339, or a number of seconds since 1970, or of milliseconds from 100,000,000,000
	// on. Default: "/recorded_at".
	Time string `json:"time"`
	// Delay is how much behind the largest time of an event a partition takes the time to be, Grace how long after its end a window stays open besides.
	// Default: 0. At most 30 days.
	Delay Duration `json:"delay"`
	Grace Duration `json:"grace"`
	// Idle is after how long without an event the time of a partition goes on with the clock, from 100 ms to 24 h. Default: 1 m.
	Idle Duration `json:"idle"`
	// Late is what becomes of an event whose window has closed. Default: "update".
	Late window.Late `json:"late"`
	// Keep is for how long closed windows are kept to be updated, at most 366 days. Default: 24 h; for "update" only.
	Keep Duration `json:"keep,omitzero"`
	// Side is the stream that late events go to, with {key}; for "side" only.
	Side string `json:"side,omitempty"`
	// Key is the JSON pointer by which windows are told apart, and is the Key of the Definition. Default: none, all events share windows, and
	// there is one partition.
	Key string `json:"key,omitempty"`
	// Values are what is told of a window, by name, beside how many events it has. At most 20.
	Values map[string]WindowValue `json:"values,omitempty"`
	// Stream is where closings are appended, with {key} for the key. Type is the type of the event; that of late events has Late behind it. Required.
	Stream string `json:"stream"`
	Type   string `json:"type"`
}

// WindowValue is how a value is made from events: in JSON "count", or {"sum":"/data/total_minor"} with the JSON pointer of a member.
type WindowValue struct {
	Op   window.Op
	Path string
}

const valueForms = `"count", or one of sum, min, max, avg, distinct, first and last with a JSON pointer, such as {"sum":"/data/total_minor"}`

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (v *WindowValue) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if d.PeekKind() == '{' {
		value, err := d.ReadValue()
		if err != nil {
			return err
		}
		var members map[window.Op]string
		if err := jsonv2.Unmarshal(value, &members); err != nil || len(members) != 1 {
			return &FieldError{"", "must be " + valueForms}
		}
		for op, path := range members {
			*v = WindowValue{op, path}
		}
		return nil
	}
	return shape(d, valueForms, func(op string) { *v = WindowValue{Op: window.Op(op)} }, func(struct{}) {})
}

// MarshalJSONTo implements json.MarshalerTo.
func (v WindowValue) MarshalJSONTo(e *jsontext.Encoder) error {
	if v.Path == "" {
		return jsonv2.MarshalEncode(e, v.Op)
	}
	return jsonv2.MarshalEncode(e, map[window.Op]string{v.Op: v.Path})
}

// MarshalJSON implements the Marshaler of encoding/json.
func (v WindowValue) MarshalJSON() ([]byte, error) { return jsonv2.Marshal(v) }

// UnmarshalJSON implements json.Unmarshaler.
func (v *WindowValue) UnmarshalJSON(text []byte) error { return jsonv2.Unmarshal(text, v) }

const (
	maxWindow = 366 * 24 * time.Hour
	maxValues = 20
	maxDelays = 30 * 24 * time.Hour
	// eventsOfWindows is how many events a transaction of windows has, if nothing else is said: it writes each window once.
	eventsOfWindows = 5000
	bytesOfWindows  = 8 << 20
)

// windowed fills in what a window target says of the rest of a definition, before that is checked.
func (c *checker) windowed(d *Definition) {
	t := d.Target.Window
	if t == nil {
		return
	}
	t = new(*t)
	d.Target.Window = t
	t.Time, t.Key = pointerOf(t.Time), pointerOf(t.Key)
	most := eventsOfWindows / t.overlap()
	if d.Batch.MaxEvents == 0 {
		d.Batch.MaxEvents = most
	}
	if t.Kind == window.Sliding && d.Batch.MaxEvents > most {
		c.wrong("/batch/max_events", "must be at most %d, for an event is in %d windows, it is %d", most, t.overlap(), d.Batch.MaxEvents)
	}
	if d.Batch.MaxBytes == 0 {
		d.Batch.MaxBytes = bytesOfWindows
	}
	switch {
	case t.Key == "":
		if d.Partitions == 0 {
			d.Partitions = 1
		}
		if d.Partitions != 1 {
			c.wrong("/partitions", "must be 1 for windows without a key: all events are in the same")
		}
	case d.Key == (Key{}):
		d.Key = Key{Path: t.Key}
	case d.Key.Path != t.Key:
		c.wrong("/key", `must be left out, or {"path":%q}: the events of a window are in one partition`, t.Key)
	}
	if d.Source.Changes != nil {
		c.wrong("/target", `must not be "window" for what changes in rows: it counts events of the log`)
	}
}

// overlap is in how many windows an event is, of a target that may be wrong still.
func (t *WindowTarget) overlap() int {
	if t.Kind != window.Sliding || t.Every <= 0 || t.Size <= 0 {
		return 1
	}
	return int(min((t.Size+t.Every-1)/t.Every, window.MaxOverlap))
}

// pointerOf returns a path that is written as $.data.at as a JSON pointer.
func pointerOf(path string) string {
	rest, ok := strings.CutPrefix(path, "$.")
	if !ok {
		return path
	}
	return "/" + strings.ReplaceAll(rest, ".", "/")
}

// window checks the target of a definition that went through windowed.
func (c *checker) window(at string, t *WindowTarget) {
	choice(c, at+"kind", &t.Kind, window.Tumbling, window.Sliding, window.Session)
	c.windowTimes(at, t)
	if t.Time == "" {
		t.Time = "/recorded_at"
	}
	c.pointer(at+"time", t.Time)
	c.duration(at+"delay", &t.Delay, 0, 0, maxDelays)
	c.duration(at+"grace", &t.Grace, 0, 0, maxDelays)
	c.duration(at+"idle", &t.Idle, time.Minute, 100*time.Millisecond, 24*time.Hour)
	choice(c, at+"late", &t.Late, window.Update, window.Side, window.Drop)
	if t.Late == window.Update {
		c.duration(at+"keep", &t.Keep, 24*time.Hour, time.Millisecond, maxWindow)
	} else if t.Keep != 0 {
		c.wrong(at+"keep", `must be left out: closed windows are kept for "late":"update" only`)
	}
	if t.Key != "" {
		c.pointer(at+"key", t.Key)
	}
	if len(t.Values) > maxValues {
		c.wrong(at+"values", "must be at most %d", maxValues)
	}
	values := maps.Clone(t.Values)
	for _, name := range slices.Sorted(maps.Keys(values)) {
		v := values[name]
		v.Path = pointerOf(v.Path)
		values[name] = v
		pointer := at + "values/" + string(jsontext.Pointer("").AppendToken(name))[1:]
		switch {
		case !slices.Contains(window.Ops(), v.Op) || (v.Op == window.Count) != (v.Path == ""):
			c.wrong(pointer, "must be %s", valueForms)
		case v.Path != "":
			c.pointer(pointer+"/"+string(v.Op), v.Path)
		}
		c.text(pointer, name, maxName)
	}
	t.Values = values
	c.windowStream(at+"stream", t.Stream, "the name of the stream of closings")
	if (t.Late == window.Side) != (t.Side != "") {
		c.wrong(at+"side", `must be there for "late":"side", and for nothing else: the name of the stream for late events`)
	} else if t.Side != "" {
		c.windowStream(at+"side", t.Side, "")
	}
	c.required(at+"type", t.Type, "the type of the event that says that a window has closed")
	c.text(at+"type", t.Type, 200)
	if strings.HasPrefix(t.Type, "$") {
		c.wrong(at+"type", "must not begin with '$': those belong to the store")
	}
}

func (c *checker) windowTimes(at string, t *WindowTarget) {
	if t.Kind == window.Session {
		c.duration(at+"gap", &t.Gap, 0, time.Second, maxWindow)
		if t.Size != 0 || t.Every != 0 {
			c.wrong(at+"size", "must be left out, and every too: a session is as long as its events")
		}
		return
	}
	c.duration(at+"size", &t.Size, 0, time.Second, maxWindow)
	switch {
	case t.Gap != 0:
		c.wrong(at+"gap", `must be left out: it is for "kind":"session"`)
	case t.Kind == window.Tumbling && t.Every != 0:
		c.wrong(at+"every", `must be left out: it is for "kind":"sliding"`)
	case t.Kind == window.Sliding:
		c.duration(at+"every", &t.Every, 0, max(time.Duration(t.Size)/window.MaxOverlap, time.Second), maxWindow)
	}
}

func (c *checker) windowStream(pointer, name, what string) {
	c.required(pointer, name, what)
	for _, found := range placeholders.FindAllString(name, -1) {
		if found != "{key}" {
			c.wrong(pointer, "must not have %s: there is {key}", found)
		}
	}
	if strings.HasPrefix(name, "$") || strings.HasPrefix(name, "{") {
		c.wrong(pointer, "must not begin with '$' or a key: the category of a stream is before its first '-'")
	}
}

// checkWindows returns an error for a change of what windows must keep. A definition that has none may be given one.
func checkWindows(was, is *Definition) error {
	w := was.Target.Window
	switch {
	case w == nil && is.Target.Window == nil:
		return nil
	case w == nil || is.Target.Window == nil:
		return &InvalidError{is.Name, []*FieldError{{"/target", "must stay a window, or stay none: make a subscription of another name"}}}
	case was.Partitions != is.Partitions:
		return &InvalidError{is.Name, []*FieldError{{"/partitions", "must stay " + strconv.Itoa(was.Partitions) +
			": windows are dealt to them; make a subscription of another name"}}}
	}
	if was.Key != is.Key {
		return &InvalidError{is.Name, []*FieldError{{"/key", "must stay what it is: its windows are made so; make a subscription of another name"}}}
	}
	a, b := *w, *is.Target.Window
	a.Delay, a.Idle = b.Delay, b.Idle
	if !reflect.DeepEqual(a, b) {
		return &InvalidError{is.Name, []*FieldError{{"/target/window", "must stay what it is, but for delay and idle: its windows are made so; make a subscription of another name"}}}
	}
	return nil
}

// config returns what windows there are, and the names of the values.
func (t *WindowTarget) config() (c window.Config, names []string) {
	micros := func(d Duration) int64 { return time.Duration(d).Microseconds() }
	c = window.Config{Kind: t.Kind, Size: micros(t.Size), Every: micros(t.Every), Gap: micros(t.Gap), Delay: micros(t.Delay), Grace: micros(t.Grace),
		Keep: micros(t.Keep), Late: t.Late}
	for _, name := range slices.Sorted(maps.Keys(t.Values)) {
		names = append(names, name)
		c.Values = append(c.Values, t.Values[name].Op)
	}
	return c, names
}

var errTime = errors.New("is neither text as in RFC 3339 nor a number of seconds or milliseconds since 1970")

// timeOf returns a time of an event in microseconds since 1970.
func timeOf(v jsontext.Value) (int64, error) {
	switch v.Kind() {
	case '"':
		var at time.Time
		if err := json.Unmarshal(v, &at); err != nil {
			return 0, errTime
		}
		return boundedTime(float64(at.Unix())*1e6, at.UnixMicro())
	case '0':
		n, err := strconv.ParseFloat(string(v), 64)
		if err != nil {
			return 0, errTime
		}
		if n < 1e11 && n > -1e11 {
			n *= 1000
		}
		return boundedTime(n*1000, int64(n*1000))
	}
	return 0, errTime
}

// boundedTime keeps out what no calendar has.
func boundedTime(about float64, exact int64) (int64, error) {
	if about < -62e15 || about > 253e15 { // the years 1 to 9999
		return 0, errTime
	}
	return exact, nil
}
