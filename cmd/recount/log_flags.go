package main

import (
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
)

// warnings returns a logger for what a command meets on its way.
func (a *app) warnings() zerolog.Logger {
	return zerolog.New(zerolog.ConsoleWriter{Out: a.stderr, NoColor: true, PartsExclude: []string{zerolog.TimestampFieldName}})
}

// logging is how a server logs.
type logging struct{ level, format *choice }

// loggingFlags gives cmd the flags for its log; the words given are the defaults.
func loggingFlags(cmd *cobra.Command, level, format string) logging {
	l := logging{newChoice("debug", "info", "warn", "error"), newChoice("console", "json")}
	l.level.value, l.format.value = level, format
	cmd.Flags().Var(l.level, "log-level", "minimum log level")
	cmd.Flags().Var(l.format, "log-format", "how to log, on stderr")
	fromEnv(cmd.Flags(), "log-level")
	fromEnv(cmd.Flags(), "log-format")
	return l
}

// logger returns the logger that is asked for.
func (a *app) logger(l logging) zerolog.Logger {
	level, err := zerolog.ParseLevel(l.level.value)
	if err != nil {
		level = zerolog.InfoLevel // the flag takes known words only
	}
	w := a.stderr
	if l.format.value == "console" {
		w = zerolog.ConsoleWriter{Out: a.stderr, NoColor: !a.colour(), TimeFormat: time.TimeOnly}
	}
	return zerolog.New(w).Level(level).With().Timestamp().Logger()
}

// colour reports whether the log may be coloured: on a terminal, unless https://no-color.org or the
// terminal says no.
func (a *app) colour() bool {
	return a.stderrTTY && a.getenv("NO_COLOR") == "" && a.getenv("TERM") != "dumb"
}
