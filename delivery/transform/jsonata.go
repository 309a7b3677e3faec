package transform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"runtime/metrics"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/recolabs/gnata"
)

const (
	// maxTime bounds an evaluation, maxDepth how deep what it yields is nested.
	maxTime  = time.Second
	maxDepth = 128
	// maxGrowth is by how much the memory of the process may have grown when an evaluation that takes long goes on.
	maxGrowth = 512 << 20
)

// expression is a Config's JSONata.
type expression struct{ compiled *gnata.Expression }

func compileJSONata(text string) (e *expression, err error) {
	if err := checkExpression(text); err != nil {
		return nil, &Error{"/jsonata", err.Error()}
	}
	defer func() {
		if r := recover(); r != nil {
			err = &Error{"/jsonata", fmt.Sprintf("cannot be read: %v", r)}
		}
	}()
	compiled, err := gnata.Compile(text)
	if err != nil {
		return nil, &Error{"/jsonata", err.Error()}
	}
	return &expression{compiled}, nil
}

func (e *expression) apply(event []byte) (body []byte, ok bool, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	value, err := decode(event)
	if err != nil {
		return nil, false, err
	}
	m := meter{Context: context.Background(), begun: time.Now()}
	result, err := e.compiled.EvalWithCustomFuncs(&m, value, environment)
	switch {
	case m.exceeded != nil:
		return nil, false, m.exceeded
	case err != nil:
		return nil, false, err
	case result == nil:
		return nil, false, nil
	case weigh(MaxSize, result, 0) < 0:
		return nil, false, errTooLarge
	}
	body, err = appendValue(make([]byte, 0, 256), result, 0)
	return body, err == nil, err
}

// meter bounds an evaluation, which asks its context at each step whether to go on.
type meter struct {
	context.Context
	begun    time.Time
	looked   time.Duration // since then
	memory   uint64
	exceeded *FailedError
}

// Err implements context.Context. What a step makes of what there is may be twice as large, so that memory is looked at too, of an evaluation
// that takes a hundred times as long as they do. It is that of all the process: what others allocate and leave is no growth, but
// they may grow as well. So whatever exceeds is Limited.
func (m *meter) Err() error {
	since := time.Since(m.begun)
	switch {
	case m.exceeded != nil:
		return m.exceeded
	case since > maxTime:
		return m.exceed(fmt.Sprintf("took longer than %s", maxTime))
	case m.looked == 0:
		m.looked = max(since, 1)
	case since-m.looked > 5*time.Millisecond:
		m.looked = since
		sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		metrics.Read(sample)
		memory := sample[0].Value.Uint64()
		if m.memory == 0 {
			m.memory = memory
		}
		if memory > m.memory+maxGrowth {
			return m.exceed(fmt.Sprintf("took long, and the memory of the process grew by more than %d bytes", maxGrowth))
		}
	}
	return nil
}

func (m *meter) exceed(reason string) error {
	m.exceeded = &FailedError{Reason: reason, Limited: true}
	return m.exceeded
}

// object is what gnata makes of a JSON object.
type object interface {
	Len() int
	Range(func(name string, value any) bool)
}

var (
	errFunction = errors.New("yields a function, which is no JSON")
	errTooLarge = fmt.Errorf("yields more than %d bytes, or more than %d levels", MaxSize, maxDepth)
)

// appendValue appends a value of gnata as JSON.
func appendValue(to []byte, value any, depth int) ([]byte, error) {
	if depth > maxDepth || len(to) > MaxSize {
		return to, errTooLarge
	}
	switch v := value.(type) {
	case nil:
		return append(to, "null"...), nil
	case string:
		to, _ = jsontext.AppendQuote(to, v) // its error is about bytes that are not UTF-8, in whose place U+FFFD is written
		return to, nil
	case bool:
		return strconv.AppendBool(to, v), nil
	case json.Number:
		return append(to, v...), nil
	case float64:
		return appendNumber(to, v)
	case int:
		return strconv.AppendInt(to, int64(v), 10), nil
	case []any:
		return appendArray(to, v, depth)
	case object:
		return appendObject(to, v, depth)
	case map[string]any:
		text, err := json.Marshal(gnata.NormalizeValue(v))
		return append(to, text...), err
	case json.Marshaler: // of null
		text, err := v.MarshalJSON()
		return append(to, text...), err
	}
	if plain := gnata.NormalizeValue(value); isPlain(plain) {
		return appendValue(to, plain, depth+1)
	}
	return to, errFunction
}

// isPlain reports whether appendValue has a case for it.
func isPlain(value any) bool {
	switch value.(type) {
	case nil, string, bool, json.Number, float64, int, []any, map[string]any:
		return true
	}
	return false
}

func appendNumber(to []byte, v float64) ([]byte, error) {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return to, fmt.Errorf("yields %v, which is no number of JSON", v)
	case v == math.Trunc(v) && math.Abs(v) < 1e15:
		return strconv.AppendInt(to, int64(v), 10), nil
	}
	text, err := json.Marshal(v)
	return append(to, text...), err
}

func appendArray(to []byte, all []any, depth int) ([]byte, error) {
	to = append(to, '[')
	for i, v := range all {
		if i > 0 {
			to = append(to, ',')
		}
		var err error
		if to, err = appendValue(to, v, depth+1); err != nil {
			return to, err
		}
	}
	return append(to, ']'), nil
}

func appendObject(to []byte, o object, depth int) (_ []byte, err error) {
	to = append(to, '{')
	begun := len(to)
	o.Range(func(name string, v any) bool {
		if v == nil { // it has no value
			return true
		}
		if len(to) > begun {
			to = append(to, ',')
		}
		to, _ = jsontext.AppendQuote(to, name)
		to, err = appendValue(append(to, ':'), v, depth+1)
		return err == nil
	})
	return append(to, '}'), err
}
