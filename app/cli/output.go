package cli

import (
	"encoding/json"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/spf13/cobra"
)

// Output is how a command prints its data.
type Output struct{ format *Choice }

// JSON reports whether it prints JSON.
func (o Output) JSON() bool { return o.format.value == "json" }

// Print writes v as JSON or what table writes, columns parted by tabs, as a table.
func (o Output) Print(w io.Writer, v any, table func(io.Writer)) error {
	if o.JSON() {
		return encoder(w).Encode(v)
	}
	columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	table(columns)
	return columns.Flush()
}

// OutputFlag gives cmd the flag -o.
func OutputFlag(cmd *cobra.Command) Output {
	o := Output{NewChoice("table", "json")}
	cmd.Flags().VarP(o.format, "output", "o", "how to print the data")
	FromEnv(cmd.Flags(), "output")
	return o
}

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

func encoder(w io.Writer) *json.Encoder {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e
}

// Cell makes text fit for a table on a terminal: one line, at most limit characters, and nothing
// that a terminal would take for a command.
func Cell(text string, limit int) string {
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

// timeFormat is that of tables: UTC, as everywhere, and as exact as times are, so that one can be
// given back.
const timeFormat = "2006-01-02T15:04:05.000000Z"

// asText returns the columns of a row on one line.
func asText(row map[string]any) string {
	if row == nil {
		return "no row"
	}
	var b strings.Builder
	if err := encoder(&b).Encode(row); err != nil {
		return err.Error()
	}
	return Cell(strings.TrimSpace(b.String()), 2000)
}
