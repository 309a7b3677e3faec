package cli

import (
	"bufio"
	"context"
	"fmt"
	"strings"
)

// confirm lets somebody agree to something that cannot be undone: on the terminal, or by the flag
// --yes where there is none.
func (prog *Program) confirm(ctx context.Context, yes bool, consequence string) error {
	if yes {
		return nil
	}
	if !prog.StdinTTY {
		return &Failure{ExitUsage, fmt.Errorf("%s; this needs to be confirmed", consequence), "add --yes"}
	}
	fmt.Fprintf(prog.Stderr, "%s. Continue? Type yes: ", consequence)
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(prog.Stdin).ReadString('\n') // what cannot be read is no yes
		answer <- strings.TrimSpace(line)
	}()
	select {
	case line := <-answer:
		if line == "yes" {
			return nil
		}
		return fmt.Errorf("not confirmed: it takes the word yes, not %q; nothing was done", Cell(line, 40))
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
