package httpapi

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// maxParamBytes bounds a text, and maxCursorBytes a cursor: it holds the values of columns, each of which may be
// such a text.
const maxParamBytes, maxCursorBytes = 512, 4096

// Params reads the query parameters of a read. A route says what it takes by
// asking for it; what it does not ask for is an error of the client. So every
// parameter must be asked for in every case.
//
// A parameter that was not given, or is wrong, is the zero value unless said
// otherwise; if one is wrong the handler is not called.
type Params struct {
	values url.Values
	known  []string
	// described are those of known, if they are asked for.
	described []Parameter
	describe  bool
	refused   []string
	problem   *Problem
}

// NoParams is for routes that take no query parameters.
func NoParams(*Params) struct{} { return struct{}{} }

// parametersOf returns the parameters that parse takes. Which values there are of one may depend on the
// value of another.
func parametersOf(parse func(*Params)) []Parameter {
	ask := func(values url.Values) []Parameter {
		p := &Params{values: values, describe: true}
		parse(p)
		return p.described
	}
	all := ask(nil)
	for _, offered := range all {
		for _, value := range offered.Values {
			for i, p := range ask(url.Values{offered.Name: {value}}) {
				for _, v := range p.Values {
					if !slices.Contains(all[i].Values, v) {
						all[i].Values = append(all[i].Values, v)
					}
				}
			}
		}
	}
	return all
}

func newParams(rawQuery string) *Params {
	values, err := url.ParseQuery(rawQuery)
	p := &Params{values: values}
	if err != nil {
		p.problem = kindInvalidParameter.Problem("The query part of the URL cannot be read: " + err.Error() + ".").
			withHint("Percent-encode what has a meaning in URLs, and join parameters with &.")
	}
	return p
}

// Text returns a text: valid UTF-8 of 1 to 512 bytes without control
// characters.
func (p *Params) Text(name string) string {
	return p.text(name, maxParamBytes)
}

// Cursor returns the cursor of a page, as Page.Next has it: a text of up to 4 KiB.
func (p *Params) Cursor(name string) string { return p.text(name, maxCursorBytes) }

// LongText returns a text, as Text does, of up to 4 KiB.
func (p *Params) LongText(name string) string { return p.text(name, maxCursorBytes) }

func (p *Params) text(name string, maxBytes int) string {
	value, ok := p.take(Parameter{Name: name, Type: "string", MaxBytes: maxBytes})
	if !ok {
		return ""
	}
	if fault := invalidTextOf(value, maxBytes); fault != "" {
		p.Fail(name, fault)
		return ""
	}
	return value
}

// OneOf returns one of the allowed values; the first one if none was given.
func (p *Params) OneOf(name string, allowed ...string) string {
	value, ok := p.take(Parameter{Name: name, Type: "string", Values: allowed})
	switch {
	case !ok:
		return allowed[0]
	case !slices.Contains(allowed, value):
		p.Fail(name, "must be one of "+strings.Join(slices.DeleteFunc(slices.Clone(allowed), isEmpty), ", "))
	}
	return value
}

func isEmpty(s string) bool { return s == "" }

// Int returns a whole number from low to high; def if none was given.
func (p *Params) Int(name string, def, low, high int64) int64 {
	value, ok := p.take(Parameter{Name: name, Type: "integer", Low: low, High: high, Default: def})
	if !ok {
		return def
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < low || n > high {
		p.Fail(name, wholeNumber(low, high).Error())
		return def
	}
	return n
}

// Limit returns the parameter limit: how many items a page may have, from 1 to
// highest; def if none was given.
func (p *Params) Limit(def, highest int) int {
	return int(p.Int("limit", int64(def), 1, int64(highest)))
}

// Day returns the beginning of a day in UTC, given as 2011-12-09; the zero time
// if none was given.
func (p *Params) Day(name string) time.Time {
	value, ok := p.take(Parameter{Name: name, Type: "string", Format: "date"})
	if !ok {
		return time.Time{}
	}
	day, err := time.Parse(time.DateOnly, value)
	// The first day of all is the zero time, and would be taken for none.
	if err != nil || !day.After(time.Time{}) {
		p.Fail(name, "must be a day, e.g. 2011-12-09, and not before 0001-01-02")
		return time.Time{}
	}
	return day
}

// Flag reports whether a parameter was given that has no value, or true or 1.
func (p *Params) Flag(name string) bool {
	value, ok := p.take(Parameter{Name: name, Type: "boolean"})
	if ok && value != "" && value != "true" && value != "1" {
		p.Fail(name, "must be given without a value, or as true or 1")
	}
	return ok
}

// Scan reads a parameter into what into points to, by its type: a text, a whole
// number, a number, true or false, a time of RFC 3339, 16 bytes as a UUID, or
// what its UnmarshalText takes. It reports whether the parameter was given and
// is right; else what into points to is of no use.
func (p *Params) Scan(name string, into any) bool {
	d := parameterFor(into)
	d.Name = name
	value, ok := p.take(d)
	if !ok {
		return false
	}
	fault := scanText(value, into)
	if fault != "" {
		p.Fail(name, fault)
	}
	return fault == ""
}

// Fail says that a parameter is wrong, e.g. beside another one. Detail says
// what it must be.
func (p *Params) Fail(name, detail string) {
	if p.problem == nil {
		p.problem = kindInvalidParameter.Problem(name + " " + detail + ".")
	}
	p.problem.withParameter(name, detail)
}

// Refuse says why a parameter that clients may expect here is not taken, as Fail does, if it was given.
func (p *Params) Refuse(name, why string) {
	p.refused = append(p.refused, name)
	if p.values.Has(name) {
		p.Fail(name, why)
	}
}

func (p *Params) take(d Parameter) (value string, given bool) {
	p.known = append(p.known, d.Name)
	if p.describe {
		d.Values = slices.DeleteFunc(slices.Clone(d.Values), isEmpty)
		p.described = append(p.described, d)
	}
	values := p.values[d.Name]
	switch len(values) {
	case 0:
		return "", false
	case 1:
		return values[0], true
	}
	p.Fail(d.Name, "must be given once")
	return "", false
}

// knownAre says which names there are.
func knownAre(names []string) string {
	if len(names) == 0 {
		return "there are none"
	}
	return "known are " + strings.Join(names, ", ")
}

// err returns what was wrong, once all parameters were taken.
func (p *Params) err() error {
	known := knownAre(p.known)
	for _, name := range slices.Sorted(maps.Keys(p.values)) {
		switch {
		case slices.Contains(p.known, name), slices.Contains(p.refused, name):
		case name != "":
			p.Fail(name, "is not known here; "+known)
		case p.problem == nil: // errors has no place for what has no name
			p.problem = kindInvalidParameter.Problem("A parameter without a name is not known here; " + known + ".")
		}
	}
	if p.problem == nil {
		return nil // not a nil *Problem in an error
	}
	return p.problem
}

// invalidText says what is wrong with text that is to become an id or a name; ""
// if nothing is.
func invalidText(s string) string { return invalidTextOf(s, maxParamBytes) }

func invalidTextOf(s string, maxBytes int) string {
	switch {
	case s == "":
		return "must not be empty"
	case len(s) > maxBytes:
		return fmt.Sprintf("must have at most %d bytes", maxBytes)
	case !utf8.ValidString(s):
		return "must be valid UTF-8"
	case strings.ContainsFunc(s, unicode.IsControl):
		return "must not have control characters"
	}
	return ""
}
