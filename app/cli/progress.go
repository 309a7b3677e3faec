package cli

import (
	"fmt"
	"io"
	"time"
)

// Progress shows how far something long is: on a terminal in one line that is written over,
// elsewhere in a plain line every few seconds.
type Progress struct {
	w    io.Writer
	tty  bool
	name string
}

// Every is how often Say is to be called.
func (p Progress) Every() time.Duration {
	if p.tty {
		return 200 * time.Millisecond
	}
	return 5 * time.Second
}

// Say shows what is being done.
func (p Progress) Say(what string) { p.print(p.name + ": " + what) }

func (p Progress) print(line string) {
	if p.tty {
		line = "\r" + line + "\x1b[K" // which clears what is left of a longer line
	} else {
		line += "\n"
	}
	fmt.Fprint(p.w, line)
}

// Note says something that stays, on a line of its own.
func (p Progress) Note(what string) {
	p.Say(what)
	p.End()
}

// End lets what is printed next begin on a line of its own.
func (p Progress) End() {
	if p.tty {
		fmt.Fprintln(p.w)
	}
}

// Progress returns what shows how far something is.
func (prog *Program) Progress(name string) Progress {
	return Progress{prog.Stderr, prog.StderrTTY, name}
}
