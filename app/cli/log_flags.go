package cli

import (
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
)

// warnings returns a logger for what a command meets on its way.
func (prog *Program) warnings() zerolog.Logger {
	return zerolog.New(zerolog.ConsoleWriter{Out: prog.Stderr, NoColor: true, PartsExclude: []string{zerolog.TimestampFieldName}})
}

// logging is how a server logs.
type logging struct{ level, format *Choice }

// loggingFlags gives cmd the flags for its log; the words given are the defaults.
func loggingFlags(cmd *cobra.Command, level, format string) logging {
	l := logging{NewChoice("debug", "info", "warn", "error"), NewChoice("console", "json")}
	l.level.value, l.format.value = level, format
	cmd.Flags().Var(l.level, "log-level", "minimum log level")
	cmd.Flags().Var(l.format, "log-format", "how to log, on stderr")
	FromEnv(cmd.Flags(), "log-level")
	FromEnv(cmd.Flags(), "log-format")
	return l
}

// logger returns the logger that is asked for.
func (prog *Program) logger(l logging) zerolog.Logger {
	level, err := zerolog.ParseLevel(l.level.value)
	if err != nil {
		level = zerolog.InfoLevel // the flag takes known words only
	}
	w := prog.Stderr
	if l.format.value == "console" {
		w = zerolog.ConsoleWriter{Out: prog.Stderr, NoColor: !prog.colour(), TimeFormat: time.TimeOnly}
	}
	return zerolog.New(w).Level(level).With().Timestamp().Logger()
}

// colour reports whether the log may be coloured: on a terminal, unless https://no-color.org or the
// terminal says no.
func (prog *Program) colour() bool {
	return prog.StderrTTY && prog.Getenv("NO_COLOR") == "" && prog.Getenv("TERM") != "dumb"
}
