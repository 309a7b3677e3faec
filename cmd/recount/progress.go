package main

import (
	"fmt"
	"io"
	"time"

	"github.com/57528e99/recount/shop/onlineretail"
)

// progress shows how far something long is: on a terminal in one line that is written over, elsewhere in
// a plain line every few seconds.
type progress struct {
	w    io.Writer
	tty  bool
	name string
}

// every is how often show is to be called.
func (p progress) every() time.Duration {
	if p.tty {
		return 200 * time.Millisecond
	}
	return 5 * time.Second
}

// show may be called until end, one call at a time.
func (p progress) show(r onlineretail.Report) {
	done := fmt.Sprintf("%d of %d", r.Done, r.Total)
	if r.Done == r.Total {
		done = fmt.Sprintf("all %d", r.Total)
	}
	line := fmt.Sprintf("%s: %s commands, %.0f/s", p.name, done, r.Rate())
	if r.Replayed > 0 {
		line += fmt.Sprintf(", %d of them done before", r.Replayed)
	}
	if r.Retries > 0 {
		line += fmt.Sprintf(", %d retries (%s)", r.Retries, cell(fmt.Sprint(r.Trouble), 100))
	}
	p.print(line)
}

// say shows what is being done.
func (p progress) say(what string) { p.print(p.name + ": " + what) }

func (p progress) print(line string) {
	if p.tty {
		line = "\r" + line + "\x1b[K" // which clears what is left of a longer line
	} else {
		line += "\n"
	}
	fmt.Fprint(p.w, line)
}

// note says something that stays, on a line of its own.
func (p progress) note(what string) {
	p.say(what)
	p.end()
}

// end lets what is printed next begin on a line of its own.
func (p progress) end() {
	if p.tty {
		fmt.Fprintln(p.w)
	}
}

func (a *app) progress(name string) progress { return progress{a.stderr, a.stderrTTY, name} }
