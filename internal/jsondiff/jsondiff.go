// Package jsondiff says in which members two JSON documents differ.
package jsondiff

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Difference is a value that is not the same in two documents.
type Difference struct {
	// Path is the JSON Pointer (RFC 6901) of the value; empty for the whole
	// document.
	Path string `json:"path"`
	// Before and After are the values; nil: there is none.
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
}

// Of returns the differences between two documents, in the order of their
// paths. Objects are compared member by member, arrays place by place; what is
// in one only is one difference, however much is in it. Numbers are compared
// exactly, by their value and not by how they are written.
func Of(before, after []byte) ([]Difference, error) {
	a, err := parse(before)
	if err != nil {
		return nil, err
	}
	b, err := parse(after)
	if err != nil {
		return nil, err
	}
	var found []Difference
	return found, compare("", a, b, &found)
}

func parse(document []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber() // a float64 would make large numbers equal
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("parse JSON: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("parse JSON: there is more behind the document")
	}
	return v, nil
}

// missing stands for a value that is in the other document only; null is one.
type missing struct{}

func compare(path string, a, b any, found *[]Difference) error {
	switch a := a.(type) {
	case map[string]any:
		if b, ok := b.(map[string]any); ok {
			return compareObjects(path, a, b, found)
		}
	case []any:
		if b, ok := b.([]any); ok {
			return compareArrays(path, a, b, found)
		}
	case json.Number:
		if b, ok := b.(json.Number); ok && (a == b || decimal(a) == decimal(b)) {
			return nil
		}
	default:
		if a == b {
			return nil
		}
	}
	before, err := render(a)
	if err != nil {
		return err
	}
	after, err := render(b)
	*found = append(*found, Difference{path, before, after})
	return err
}

// decimal returns a number as its digits, without zeros at either end, and a
// power of ten: the same for 100, 1e2 and 100.0.
func decimal(n json.Number) string {
	unsigned, negative := strings.CutPrefix(string(n), "-")
	mantissa, power, _ := strings.Cut(strings.ToLower(unsigned), "e")
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	if digits == "" {
		return "0"
	}
	significant := strings.TrimRight(digits, "0")
	exponent, err := strconv.ParseInt(cmp.Or(power, "0"), 10, 32)
	if err != nil {
		return string(n)
	}
	exponent += int64(len(digits) - len(significant) - len(fraction))
	return fmt.Sprintf("%t %se%d", negative, significant, exponent)
}

func compareObjects(path string, a, b map[string]any, found *[]Difference) error {
	names := make(map[string]bool)
	for _, o := range []map[string]any{a, b} {
		for name := range o {
			names[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if err := compare(path+"/"+escape(name), member(a, name), member(b, name), found); err != nil {
			return err
		}
	}
	return nil
}

func member(o map[string]any, name string) any {
	if v, ok := o[name]; ok {
		return v
	}
	return missing{}
}

func compareArrays(path string, a, b []any, found *[]Difference) error {
	for i := range max(len(a), len(b)) {
		if err := compare(fmt.Sprintf("%s/%d", path, i), element(a, i), element(b, i), found); err != nil {
			return err
		}
	}
	return nil
}

func element(list []any, i int) any {
	if i < len(list) {
		return list[i]
	}
	return missing{}
}

func render(v any) (json.RawMessage, error) {
	if v == (missing{}) {
		return nil, nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("render JSON: %w", err)
	}
	return bytes.TrimSpace(b.Bytes()), nil
}

var pointer = strings.NewReplacer("~", "~0", "/", "~1")

func escape(name string) string { return pointer.Replace(name) }
