package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// envNames is the annotation of a flag with the environment variables that set it.
const envNames = "recount_env"

// fromEnvironment is the annotation of a flag that the environment has set.
const fromEnvironment = "recount_from_env"

// origin is who said what a flag is, the last one first.
type origin int

const (
	byDefault origin = iota
	byEnvironment
	byCommandLine
)

func originOf(flags *pflag.FlagSet, name string) origin {
	f := flags.Lookup(name)
	switch {
	case !f.Changed:
		return byDefault
	case f.Annotations[fromEnvironment] != nil:
		return byEnvironment
	}
	return byCommandLine
}

// FromEnv lets the environment set a flag that the command line does not: the name of the program and of the flag, such as
// RECOUNT_LOG_LEVEL, else one of the others. The help names them. It is for settings; what says what to do this time stays on the
// command line.
func FromEnv(flags *pflag.FlagSet, name string, others ...string) {
	names := append([]string{"{PROGRAM}_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))}, others...)
	f := flags.Lookup(name)
	if f.Annotations == nil {
		f.Annotations = make(map[string][]string)
	}
	f.Annotations[envNames] = names
	f.Usage += " [$" + strings.Join(names, ", $") + "]"
}

// everyProgram is read in place of {PROGRAM} by programs of all names.
const everyProgram = "RECOUNT"

// getenv returns a variable of the environment, in whose name {PROGRAM} stands for the program, and the name that it was found by.
func (prog *Program) getenv(variable string) (value, name string) {
	name = prog.hints().Fill(variable)
	if value = prog.Getenv(name); value == "" {
		if general := strings.ReplaceAll(variable, "{PROGRAM}", everyProgram); prog.Getenv(general) != "" {
			return prog.Getenv(general), general
		}
	}
	return value, name
}

// setFromEnv sets the flags that were not given. An empty variable counts as none.
func (prog *Program) setFromEnv(flags *pflag.FlagSet) error {
	var fault error
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Changed {
			return
		}
		for _, variable := range f.Annotations[envNames] {
			value, name := prog.getenv(variable)
			if value == "" {
				continue
			}
			f.Annotations[fromEnvironment] = []string{name}
			if err := flags.Set(f.Name, value); err != nil && fault == nil {
				fault = &Failure{ExitUsage, fmt.Errorf("environment variable %s: %s", name, legible(err)), "correct or unset " + name}
			}
			return
		}
	})
	return fault
}
