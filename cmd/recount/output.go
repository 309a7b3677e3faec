package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/spf13/cobra"
)

// choice is a flag that takes one of a few words; the first is the default.
type choice struct {
	value   string
	allowed []string
}

func newChoice(words ...string) *choice { return &choice{words[0], words} }

// String implements pflag.Value.
func (c *choice) String() string { return c.value }

// Type implements pflag.Value. The help shows it.
func (c *choice) Type() string { return strings.Join(c.allowed, "|") }

// Set implements pflag.Value.
func (c *choice) Set(value string) error {
	if !slices.Contains(c.allowed, value) {
		return fmt.Errorf("must be one of %s", strings.Join(c.allowed, ", "))
	}
	c.value = value
	return nil
}

// output is how a command prints its data.
type output struct{ format *choice }

// outputFlag gives cmd the flag -o.
func outputFlag(cmd *cobra.Command) output {
	o := output{newChoice("table", "json")}
	cmd.Flags().VarP(o.format, "output", "o", "how to print the data")
	fromEnv(cmd.Flags(), "output")
	return o
}

func (o output) json() bool { return o.format.value == "json" }

// list is a list as JSON. Next is what to begin with to read on; null at the end.
type list[T any] struct {
	Items []T    `json:"items"`
	Next  *int64 `json:"next"`
}

func listOf[T any](items []T) list[T] {
	if items == nil {
		items = []T{} // not null
	}
	return list[T]{Items: items}
}

// print writes v as JSON or what table writes, columns parted by tabs, as a table.
func (o output) print(w io.Writer, v any, table func(io.Writer)) error {
	if o.json() {
		return encoder(w).Encode(v)
	}
	columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	table(columns)
	return columns.Flush()
}

func encoder(w io.Writer) *json.Encoder {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e
}

// cell makes text fit for a table on a terminal: one line, at most limit characters, and nothing
// that a terminal would take for a command.
func cell(text string, limit int) string {
	var b strings.Builder
	n := 0
	for _, r := range text {
		if n++; n > limit {
			return b.String() + "…"
		}
		if !unicode.IsPrint(r) {
			r = '\uFFFD'
		}
		b.WriteRune(r)
	}
	return b.String()
}
