package bench

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math"
	"strings"
)

// Measures of a plot, in pixels.
const (
	plotWidth  = 760
	plotLeft   = 190 // where bars begin
	plotRight  = 110 // room for the figures behind them
	barHeight  = 16
	barPitch   = 20
	groupGap   = 14
	groupTitle = 20
	plotTop    = 52
	plotBottom = 12
)

const (
	colorOurs = "#1f6f8b"
	colorBase = "#b9c3c9"
)

// plot draws the results of one question as bars, a group for each number of callers. It is readable
// on light and on dark pages.
func plot(r Report) []byte {
	groups := byCallers(r.Results)
	height := plotTop + plotBottom + len(r.Results)*barPitch + len(groups)*(groupTitle+groupGap)
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" font-family="sans-serif" font-size="12">`+"\n", plotWidth, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", plotWidth, height)
	text(&b, 10, 20, "start", "bold", title(r))
	text(&b, 10, 38, "start", "normal", measure(r))
	y := plotTop
	for _, group := range groups {
		y += groupTitle
		text(&b, 10, y-6, "start", "normal", callers(group[0].Callers))
		widest := highest(group)
		for _, result := range group {
			color := colorBase
			if r.isOurs(result.Name) {
				color = colorOurs
			}
			length, label := result.bar()
			width := float64(plotWidth-plotLeft-plotRight) * math.Max(length/widest, 0)
			text(&b, plotLeft-8, y+barHeight-4, "end", "normal", result.Name)
			fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", plotLeft, y, math.Max(width, 1), barHeight, color)
			text(&b, plotLeft+int(width)+6, y+barHeight-4, "start", "normal", label)
			y += barPitch
		}
		y += groupGap
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func text(b *bytes.Buffer, x, y int, anchor, weight, content string) {
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="%s" font-weight="%s" fill="#222222">`, x, y, anchor, weight)
	_ = xml.EscapeText(b, []byte(content)) // a buffer takes everything
	b.WriteString("</text>\n")
}

// byCallers parts results where the number of callers changes.
func byCallers(results []Result) (groups [][]Result) {
	for i, r := range results {
		if i == 0 || r.Callers != results[i-1].Callers {
			groups = append(groups, nil)
		}
		last := len(groups) - 1
		groups[last] = append(groups[last], r)
	}
	return groups
}

// measure says what bars are as long as.
func measure(r Report) string {
	what := unit(r) + " a second"
	if r.Results[0].Delivery != nil {
		what = "events missed, in percent"
	}
	if question := r.question(); question != "" {
		return question + ", " + what
	}
	return what
}

// bar returns how long the bar of a result is, and what is written behind it.
func (row Result) bar() (length float64, label string) {
	if d := row.Delivery; d != nil {
		return d.missedShare(), fmt.Sprintf("%.3f %%", d.missedShare())
	}
	return row.EventsPerSecond, grouped(row.EventsPerSecond)
}

func highest(group []Result) float64 {
	most := 0.0
	for _, r := range group {
		length, _ := r.bar()
		most = math.Max(most, length)
	}
	return math.Max(most, math.SmallestNonzeroFloat64)
}

// isOurs reports whether a contender is a part of Recount.
func (r Report) isOurs(name string) bool {
	if r.Bench == (Compare{}).Name() {
		return name == nameRecount
	}
	switch name {
	case nameCounterRow, nameUnordered, nameInsert, nameCopy, nameSelect, nameLoop, nameSelectRow:
		return false
	}
	return true
}

func callers(n int) string {
	if n == 1 {
		return "1 caller"
	}
	return fmt.Sprintf("%d callers", n)
}

// grouped writes a number without decimals, its digits in groups of three.
func grouped(v float64) string {
	digits := fmt.Sprintf("%.0f", v)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}
