package app

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"

	"github.com/rs/zerolog"
)

// Slog returns a logger whose lines are records of l, so that a service logs in one voice.
func Slog(l *slog.Logger) zerolog.Logger { return zerolog.New(slogWriter{l.Handler()}) }

// slogWriter turns a line of zerolog, which is JSON, into a record.
type slogWriter struct{ to slog.Handler }

var slogLevels = map[zerolog.Level]slog.Level{
	zerolog.TraceLevel: slog.LevelDebug - 4, zerolog.DebugLevel: slog.LevelDebug, zerolog.InfoLevel: slog.LevelInfo,
	zerolog.WarnLevel: slog.LevelWarn, zerolog.ErrorLevel: slog.LevelError, zerolog.FatalLevel: slog.LevelError + 4,
	zerolog.PanicLevel: slog.LevelError + 4,
}

// Write implements io.Writer, for lines without a level.
func (w slogWriter) Write(line []byte) (int, error) { return w.WriteLevel(zerolog.NoLevel, line) }

// WriteLevel implements zerolog.LevelWriter.
func (w slogWriter) WriteLevel(level zerolog.Level, line []byte) (int, error) {
	ctx := context.Background()
	to := slogLevels[level] // info, for lines without one
	if !w.to.Enabled(ctx, to) {
		return len(line), nil
	}
	var fields map[string]any
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber() // a float64 would lose digits of positions
	if err := d.Decode(&fields); err != nil {
		return 0, err
	}
	message, _ := fields[zerolog.MessageFieldName].(string)
	r := slog.NewRecord(zerolog.TimestampFunc(), to, message, 0)
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		switch name {
		case zerolog.MessageFieldName, zerolog.LevelFieldName, zerolog.TimestampFieldName:
		default:
			r.AddAttrs(slog.Any(name, plain(fields[name])))
		}
	}
	if err := w.to.Handle(ctx, r); err != nil {
		return 0, err
	}
	return len(line), nil
}

// plain returns a number as an integer if it is one.
func plain(v any) any {
	number, ok := v.(json.Number)
	if !ok {
		return v
	}
	if n, err := number.Int64(); err == nil {
		return n
	}
	f, err := number.Float64()
	if err != nil {
		return v
	}
	return f
}
