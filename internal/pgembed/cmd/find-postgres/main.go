// Find-postgres prints the folder of the PostgreSQL server programs that Recount would run. If
// there are none it says how to install them and ends with status 1; with -q it prints nothing
// then and ends with status 0, so that a script can tell this from an error.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/57528e99/recount/internal/pgembed"
)

func main() {
	quiet := flag.Bool("q", false, "print nothing if there are none")
	flag.Parse()
	bin, err := pgembed.FindBinaries(0)
	if err == nil {
		fmt.Println(bin.Dir)
		return
	}
	var none *pgembed.NoBinariesError
	isNone := errors.As(err, &none)
	if isNone && *quiet {
		return
	}
	fmt.Fprintln(os.Stderr, err)
	if isNone {
		fmt.Fprintln(os.Stderr, none.Hint())
	}
	os.Exit(1)
}
