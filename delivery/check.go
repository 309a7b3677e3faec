package delivery

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/57528e99/recount/delivery/pattern"
	"github.com/57528e99/recount/delivery/transform"
	"github.com/57528e99/recount/eventstore"
)

// ErrInvalid is matched by *InvalidError.
var ErrInvalid = eventstore.NewError(eventstore.ClassInvalid, "invalid subscription")

// InvalidError is returned for a Definition that is not right. It matches ErrInvalid.
type InvalidError struct {
	// Subscription is its name; empty: it has none.
	Subscription string
	// Mistakes are all that were found, at least one.
	Mistakes []*FieldError
}

func (e *InvalidError) Error() string {
	lines := make([]string, len(e.Mistakes))
	for i, mistake := range e.Mistakes {
		lines[i] = mistake.Error()
	}
	what := "invalid subscription"
	if e.Subscription != "" {
		what = fmt.Sprintf("invalid subscription %q", e.Subscription)
	}
	return what + ": " + strings.Join(lines, "; ")
}

// Unwrap returns ErrInvalid and the mistakes.
func (e *InvalidError) Unwrap() []error {
	all := []error{ErrInvalid}
	for _, mistake := range e.Mistakes {
		all = append(all, mistake)
	}
	return all
}

// FieldError blames a member of a Definition.
type FieldError struct {
	// Pointer is its JSON pointer; empty: it is the whole.
	Pointer string
	// Reason says what it must be.
	Reason string
}

func (e *FieldError) Error() string { return strings.TrimSpace(e.Pointer + " " + e.Reason) }

// InvalidField returns the pointer and the reason.
func (e *FieldError) InvalidField() (pointer, reason string) { return e.Pointer, e.Reason }

const (
	maxName        = 100
	maxDescription = 1000
	maxOwner       = 200
	maxDefinition  = 256 << 10
	maxHeaders     = 50
	maxValue       = 4096
	maxPath        = 512
	year           = 365 * 24 * time.Hour
)

// ParseDefinition reads a definition from JSON and fills in what it leaves out. A member that is not known is an error.
// Name, if it is not empty, is what the subscription is called if the text does not say it, and must be what it says.
//
// The error is an *InvalidError.
func ParseDefinition(text []byte, name string) (Definition, error) {
	var d Definition
	if len(text) > maxDefinition {
		return d, &InvalidError{name, []*FieldError{{"", fmt.Sprintf("must be at most %d bytes, it is %d", maxDefinition, len(text))}}}
	}
	if err := json.Unmarshal(text, &d, json.RejectUnknownMembers(true)); err != nil {
		return d, &InvalidError{name, []*FieldError{fieldError(err)}}
	}
	switch {
	case d.Name == "":
		d.Name = name
	case name != "" && d.Name != name:
		return d, &InvalidError{name, []*FieldError{{"/name", fmt.Sprintf("must be %q, or be left out", name)}}}
	}
	return d.Checked()
}

// fieldError says where JSON does not fit.
func fieldError(err error) *FieldError {
	var semantic *json.SemanticError
	var syntax *jsontext.SyntacticError
	var field *FieldError
	switch {
	case errors.As(err, &field) && errors.As(err, &semantic):
		return &FieldError{string(semantic.JSONPointer) + field.Pointer, field.Reason}
	case errors.As(err, &semantic) && errors.Is(err, json.ErrUnknownName):
		return &FieldError{string(semantic.JSONPointer), "is not known; check the spelling"}
	case errors.As(err, &semantic) && semantic.Err != nil:
		return &FieldError{string(semantic.JSONPointer), semantic.Err.Error()}
	case errors.As(err, &semantic):
		return &FieldError{string(semantic.JSONPointer), fmt.Sprintf("must not be a JSON %s", semantic.JSONKind)}
	case errors.As(err, &syntax):
		return &FieldError{string(syntax.JSONPointer), fmt.Sprintf("is not JSON at byte %d: %v", syntax.ByteOffset, syntax.Err)}
	}
	return &FieldError{"", "is not JSON: it ends too early"}
}

// JSON returns the definition as it is kept and shown.
func (d Definition) JSON() ([]byte, error) { return json.Marshal(d, json.Deterministic(true)) }

// parseStored reads a definition that was stored, perhaps by a newer program.
func parseStored(text string) (d Definition, err error) {
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		return d, fmt.Errorf("read a definition: %w", err)
	}
	return d, nil
}

// checker collects mistakes.
type checker struct{ mistakes []*FieldError }

func (c *checker) wrong(pointer, format string, args ...any) {
	c.mistakes = append(c.mistakes, &FieldError{pointer, fmt.Sprintf(format, args...)})
}

// number fills in and checks a number.
func number[T int | float64](c *checker, pointer string, v *T, initially, least, most T) {
	if *v == 0 {
		*v = initially
	}
	if !(*v >= least && *v <= most) {
		c.wrong(pointer, "must be from %v to %v, it is %v", least, most, *v)
	}
}

func (c *checker) duration(pointer string, v *Duration, initially, least, most time.Duration) {
	if *v == 0 {
		*v = Duration(initially)
	}
	if d := time.Duration(*v); d < least || d > most {
		c.wrong(pointer, "must be from %s to %s, it is %s", Duration(least), Duration(most), *v)
	}
}

// choice fills in and checks a word.
func choice[T ~string](c *checker, pointer string, v *T, choices ...T) {
	if *v == "" {
		*v = choices[0]
	}
	if !slices.Contains(choices, *v) {
		words := make([]string, len(choices))
		for i, word := range choices {
			words[i] = strconv.Quote(string(word))
		}
		c.wrong(pointer, "must be %s, it is %q", list(words), string(*v))
	}
}

func list(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

func (c *checker) text(pointer, v string, most int) {
	switch {
	case len(v) > most:
		c.wrong(pointer, "must be at most %d bytes, it is %d", most, len(v))
	case strings.ToValidUTF8(v, "") != v || strings.ContainsRune(v, 0):
		c.wrong(pointer, "must be UTF-8 without the character U+0000")
	}
}

var nameSyntax = regexp.MustCompile(`^[a-z][a-z0-9._-]*$`)

// Checked returns the definition with what it leaves out filled in. The error is an *InvalidError with all mistakes.
func (d Definition) Checked() (Definition, error) {
	c := &checker{}
	switch {
	case d.Name == "":
		c.wrong("/name", "must be there: the name of the subscription")
	case len(d.Name) > maxName || !nameSyntax.MatchString(d.Name):
		c.wrong("/name", "must be at most %d lower-case letters, digits, '.', '_' and '-', the first a letter", maxName)
	}
	c.text("/description", d.Description, maxDescription)
	c.text("/owner", d.Owner, maxOwner)
	c.source(&d)
	c.filter(&d)
	c.enrich(&d)
	c.transform(&d)
	c.start(&d.Start)
	c.windowed(&d)
	c.key(&d.Key)
	c.partitions(&d)
	c.archived(&d)
	number(c, "/max_in_flight", &d.MaxInFlight, 16, 1, 1000)
	number(c, "/max_parked", &d.MaxParked, 10_000, 1, 1_000_000)
	initially := 1
	if d.Target.Broker() != nil {
		initially = brokerBatch
	}
	number(c, "/batch/max_events", &d.Batch.MaxEvents, initially, 1, 10_000)
	number(c, "/batch/max_bytes", &d.Batch.MaxBytes, 1<<20, 1, 64<<20)
	c.duration("/batch/wait", &d.Batch.Wait, 0, 0, 5*time.Minute)
	if d.Batch.Wait > 0 && d.Batch.MaxEvents == 1 {
		c.wrong("/batch/wait", `must be "0s" while max_events is 1: one event waits for no others`)
	}
	c.target(&d.Target, d.Batch)
	c.retry(&d.Retry)
	choice(c, "/after_dead", &d.AfterDead, Continue, Hold)
	if d.Bisect == nil {
		d.Bisect = new(true)
	}
	number(c, "/breaker/keys", &d.Breaker.Keys, 20, 1, 10_000)
	c.duration("/dead_letters/retention", &d.DeadLetters.Retention, 14*24*time.Hour, time.Hour, 10*year)
	choice(c, "/log_attempts", &d.LogAttempts, LogFailures, LogAll)
	choice(c, "/replays", &d.Replays, RefuseReplays, AllowReplays)
	if len(c.mistakes) > 0 {
		return d, &InvalidError{d.Name, c.mistakes}
	}
	return d, nil
}

func (c *checker) partitions(d *Definition) {
	if d.Target.Pull != nil {
		if d.Partitions = cmp.Or(d.Partitions, 1); d.Partitions != 1 {
			c.wrong("/partitions", "must be 1: what is pulled is one queue")
		}
		return
	}
	number(c, "/partitions", &d.Partitions, 4, 1, 256)
	if d.Partitions&(d.Partitions-1) != 0 {
		c.wrong("/partitions", "must be a power of two, it is %d", d.Partitions)
	}
}

func (c *checker) filter(d *Definition) {
	// Null stays, to be told from what was left out.
	if len(d.Filter) == 0 || string(d.Filter) == "null" {
		return
	}
	var wrong *pattern.Error
	if _, err := pattern.Compile(d.Filter); errors.As(err, &wrong) {
		c.wrong("/filter"+wrong.Pointer, "%s", wrong.Reason)
		return
	} else if err != nil {
		c.wrong("/filter", "%v", err)
		return
	}
	if err := (*jsontext.Value)(&d.Filter).Compact(); err != nil {
		c.wrong("/filter", "must be JSON: %v", err)
	}
}

func (c *checker) transform(d *Definition) {
	t := d.Transform
	if t == nil {
		return
	}
	if d.Target.Pull != nil {
		c.wrong("/transform", "must not be there for what is pulled: callers get the event as it is")
	}
	if to := d.Target; to.HTTP == nil && to.Webhook == nil && to.Handler == nil && to.SQL == nil && to.Append == nil && to.Email == nil && to.Pull == nil {
		c.wrong("/transform", "must not be there for this target: it is for http, webhook, email, append, sql and handlers that decode nothing")
	}
	var wrong *transform.Error
	if _, err := transform.Compile(*t); errors.As(err, &wrong) {
		c.wrong("/transform"+wrong.Pointer, "%s", wrong.Reason)
		return
	}
	compact := *t
	for _, v := range []*jsontext.Value{&compact.Template, &compact.Sample} {
		if *v = v.Clone(); len(*v) > 0 {
			if err := v.Compact(); err != nil {
				c.wrong("/transform", "must be JSON: %v", err)
			}
		}
	}
	d.Transform = &compact
}

func (c *checker) start(s *Start) {
	if *s == (Start{}) {
		s.At = AtEnd
	}
	set := 0
	for _, there := range []bool{s.At != "", s.Position != 0, !s.Time.IsZero(), s.AfterEvent != ""} {
		if there {
			set++
		}
	}
	switch {
	case set > 1:
		c.wrong("/start", "must be one of %s", startForms)
	case s.At != "" && s.At != AtBeginning && s.At != AtEnd:
		c.wrong("/start", "must be %s", startForms)
	case s.Position < 0:
		c.wrong("/start/position", "must be that of the first event, from 1 on")
	}
	c.text("/start/after_event", s.AfterEvent, maxValue)
	s.Time = eventstore.Microseconds(s.Time)
}

var envelope = []string{"position", "stream", "category", "version", "id", "type", "schema_version", "recorded_at", "metadata", "data"}

func (c *checker) key(k *Key) {
	if *k == (Key{}) {
		k.By = ByStream
	}
	switch {
	case k.By != "" && k.Path != "" || k.Path == "" && k.By != ByStream && k.By != ByNone:
		c.wrong("/key", "must be %s", keyForms)
	case k.Path != "":
		c.pointer("/key/path", k.Path)
	}
}

var escapes = regexp.MustCompile(`~([^01]|$)`)

func (c *checker) pointer(at, pointer string) {
	first, _, _ := strings.Cut(strings.TrimPrefix(pointer, "/"), "/")
	switch {
	case pointer[0] != '/' || escapes.MatchString(pointer):
		c.wrong(at, "must be a JSON pointer such as /data/customer_id, in which ~ is ~0 and / in a name is ~1")
	case !slices.Contains(envelope, first):
		c.wrong(at, "must begin with a member of an event: /%s", strings.Join(envelope, ", /"))
	}
	c.text(at, pointer, maxPath)
}

func (c *checker) retry(r *Retry) {
	number(c, "/retry/max_attempts", &r.MaxAttempts, 16, 1, 1000)
	c.duration("/retry/max_age", &r.MaxAge, 24*time.Hour, time.Second, year)
	c.duration("/retry/first", &r.First, time.Second, 10*time.Millisecond, 24*time.Hour)
	number(c, "/retry/factor", &r.Factor, 2, 1, 10)
	c.duration("/retry/cap", &r.Cap, max(10*time.Minute, min(time.Duration(r.First), 24*time.Hour)), time.Duration(r.First), 24*time.Hour)
}
