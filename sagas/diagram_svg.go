package sagas

import (
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// SVG returns the saga as a picture. With an instance it shows how far that has come; nil: without.
func (s *Saga) SVG(i *Instance) string {
	d := &svg{drawn: s.drawn(i)}
	begin, end := d.box(-1, lineHeight, "begin"), d.box(-1, lineHeight, "end")
	begin.taken = d.began
	root := d.stack(append(append([]block{begin}, d.blocks(s.root)...), end))
	title := d.title(i)
	width, height := max(root.width, len(title)*charWidth)+2*margin, root.height+2*margin+lineHeight
	d.add(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="monospace" font-size="12">`, width, height, width, height)
	d.add(`<title>%s</title>`, escaped(title))
	d.add(`<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0L8 4L0 8Z"/></marker></defs>`)
	d.text.WriteString("<style>\ntext{text-anchor:middle}\n.step{fill:#fff;stroke:#333}\n.frame{fill:none;stroke:#888;stroke-dasharray:4 3}\n" +
		".way{fill:none;stroke:#888}\n.taken{fill:none;stroke:#111;stroke-width:2.5}\n.caught{fill:none;stroke:#b00;stroke-dasharray:5 3}\n.label{stroke:#fff;stroke-width:4;paint-order:stroke}\n")
	for _, m := range marks {
		d.add(".%s{fill:%s;stroke:#333}", m.name, m.color)
	}
	d.add("</style>")
	d.add(`<rect width="%d" height="%d" fill="#fff"/>`, width, height)
	d.words(width/2, margin, title)
	root.draw((width-root.width)/2, margin+lineHeight)
	d.add("</svg>")
	return d.text.String()
}

// Lengths in pixels.
const (
	charWidth  = 8
	lineHeight = 16
	gap        = 28
	margin     = 16
	padding    = 12
	// longest is how many characters of a text are shown; the picture has the rest where the mouse is.
	longest = 44
)

type svg struct {
	*drawn
	text strings.Builder
}

// block is a part as it is drawn. What leads to it and from it is in the middle of its top and bottom.
type block struct {
	width, height int
	draw          func(x, y int)
	// ends says that nothing leads on.
	ends bool
	// taken says that the instance has gone to its end.
	taken bool
}

func (d *svg) add(format string, args ...any) { fmt.Fprintf(&d.text, format+"\n", args...) }

func escaped(text string) string {
	var to strings.Builder
	_ = xml.EscapeText(&to, []byte(text)) // a Builder takes all
	return to.String()
}

// words draws a line of text around x.
func (d *svg) words(x, y int, text string) {
	whole := ""
	if utf8.RuneCountInString(text) > longest {
		whole = "<title>" + escaped(text) + "</title>"
		text = string([]rune(text)[:longest-1]) + "…"
	}
	d.add(`<text x="%d" y="%d">%s%s</text>`, x, y, escaped(text), whole)
}

func widthOf(lines ...string) (w int) {
	for _, line := range lines {
		w = max(w, min(utf8.RuneCountInString(line), longest)*charWidth)
	}
	return w + 2*padding
}

func (d *svg) line(class, path string, args ...any) {
	d.add(`<path class="%s" d="%s"/>`, class, fmt.Sprintf(path, args...))
}

func (d *svg) arrow(class, path string, args ...any) {
	d.add(`<path class="%s" marker-end="url(#arrow)" d="%s"/>`, class, fmt.Sprintf(path, args...))
}

func wayClass(taken bool) string {
	if taken {
		return "taken"
	}
	return "way"
}

// box is a frame of a shape around lines of text: rounded by so many pixels.
func (d *svg) box(mark, rounded int, lines ...string) block {
	b := block{width: widthOf(lines...), height: len(lines)*lineHeight + padding, taken: mark >= 0 && marks[mark].name == "done"}
	class := "step"
	if mark >= 0 {
		class = marks[mark].name
	}
	b.draw = func(x, y int) {
		d.add(`<rect class="%s" x="%d" y="%d" width="%d" height="%d" rx="%d"/>`, class, x, y, b.width, b.height, rounded)
		for i, line := range lines {
			d.words(x+b.width/2, y+padding/2+i*lineHeight+padding, line)
		}
	}
	return b
}

func (d *svg) blocks(s sequence) (all []block) {
	for _, n := range s {
		all = append(all, d.part(n))
	}
	return all
}

func (d *svg) sequence(s sequence) block { return d.stack(d.blocks(s)) }

// stack draws blocks one below the other.
func (d *svg) stack(all []block) block {
	b := block{width: 2 * padding, taken: true}
	for i, one := range all {
		b.width, b.height = max(b.width, one.width), b.height+one.height
		if i > 0 {
			b.height += gap
		}
		b.ends, b.taken = one.ends, one.taken
	}
	b.draw = func(x, y int) {
		for i, one := range all {
			if i > 0 && !all[i-1].ends {
				d.arrow(wayClass(all[i-1].taken), "M%d %dv%d", x+b.width/2, y-gap, gap)
			}
			one.draw(x+(b.width-one.width)/2, y)
			y += one.height + gap
		}
	}
	return b
}

func (d *svg) part(n node) block {
	switch n := n.(type) {
	case *task:
		b := d.box(d.mark(n.name), 4, d.lines(n)...)
		b.ends = n.kind == kindFail
		return b
	case *branches:
		var ways []lane
		labels, all := n.drawnWays()
		for i, one := range all {
			ways = append(ways, lane{d.sequence(one), labels[i], wayClass(d.takes(n, i))})
		}
		return d.fork(d.box(d.mark(n.name), lineHeight, n.name+"?"), ways)
	case *parallel:
		var ways []lane
		for _, one := range n.ways {
			ways = append(ways, lane{d.sequence(one), "", wayClass(d.reaches(one))})
		}
		return d.fork(d.box(-1, 0, n.name+": "+n.says()), ways)
	case *items:
		body := d.framed(n.name+": "+n.says(), n.body(0))
		body.taken = d.is(n.name, Done) && body.taken
		return body
	case *attempted:
		ways := []lane{{d.framed("", n.body), "", wayClass(d.reaches(n.body))}}
		for i, c := range n.catches {
			class := "caught"
			if slices.Contains(d.chosen(n.name), i) {
				class = "taken"
			}
			ways = append(ways, lane{d.sequence(c.way), c.says(), class})
		}
		return d.fork(d.box(d.mark(n.name), lineHeight, n.name+": try"), ways)
	}
	return block{draw: func(int, int) {}}
}

// framed draws a frame around a block.
func (d *svg) framed(title string, s sequence) block {
	inner, reached := d.sequence(s), d.reaches(s)
	b := inner
	b.width, b.height = max(inner.width, widthOf(title))+2*padding, inner.height+lineHeight+2*padding
	b.draw = func(x, y int) {
		d.add(`<rect class="frame" x="%d" y="%d" width="%d" height="%d"/>`, x, y, b.width, b.height)
		middle := x + b.width/2
		d.line(wayClass(reached), "M%d %dv%d", middle, y, lineHeight+padding)
		inner.draw(x+(b.width-inner.width)/2, y+lineHeight+padding)
		if !inner.ends {
			d.line(wayClass(b.taken), "M%d %dv%d", middle, y+b.height-padding, padding)
		}
		d.label(middle, y+lineHeight, title)
	}
	return b
}

// lane is a way beside others.
type lane struct {
	block
	label, class string
}

func (d *svg) label(x, y int, text string) {
	if text == "" {
		return
	}
	d.text.WriteString(`<g class="label">` + "\n")
	d.words(x, y, text)
	d.add("</g>")
}

// fork draws ways beside each other below a head, and joins them.
func (d *svg) fork(head block, ways []lane) block {
	const down = gap + lineHeight // from the head to the ways
	width, tallest, open, taken := 0, 0, 0, false
	for i := range ways {
		// Each way is as wide as its label.
		wide := max(ways[i].width, widthOf(ways[i].label))
		inner := ways[i].block
		ways[i].width, ways[i].draw = wide, func(x, y int) { inner.draw(x+(wide-inner.width)/2, y) }
		width, tallest = width+wide, max(tallest, inner.height)
		if i > 0 {
			width += gap
		}
		if !inner.ends {
			open++
			taken = taken || ways[i].class == "taken" && inner.taken
		}
	}
	b := block{width: max(width, head.width), height: head.height + down + tallest, ends: open == 0, taken: taken}
	if !b.ends {
		b.height += padding
	}
	b.draw = func(x, y int) {
		middle, bottom := x+b.width/2, y+b.height
		head.draw(x+(b.width-head.width)/2, y)
		from := y + head.height
		at := x + (b.width-width)/2
		for _, w := range ways {
			axis := at + w.width/2
			lead := d.arrow
			if w.height == 0 {
				lead = d.line
			}
			lead(w.class, "M%d %dv%dH%dV%d", middle, from, padding, axis, from+down)
			w.draw(at, from+down)
			if !w.ends {
				d.line(wayClass(w.class == "taken" && w.taken), "M%d %dV%dH%d", axis, from+down+w.height, bottom, middle)
			}
			at += w.width + gap
		}
		at = x + (b.width-width)/2
		for _, w := range ways { // behind the lines, which may cross them
			d.label(at+w.width/2, from+padding+lineHeight, w.label)
			at += w.width + gap
		}
	}
	return b
}
