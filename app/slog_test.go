package app_test

import (
	"bytes"
	"errors"
	"log/slog"
	"testing"

	"github.com/rs/zerolog"

	"github.com/57528e99/recount/app"
)

func TestSlogGetsWhatIsLogged(t *testing.T) {
	t.Parallel()
	var got bytes.Buffer
	l := app.Slog(slog.New(slog.NewTextHandler(&got, &slog.HandlerOptions{
		Level: slog.LevelInfo,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey && a.Value.Time().IsZero() {
				t.Error("a record has no time")
			}
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})).With("service", "bank")).With().Timestamp().Str("part", "projections").Logger()
	l.Debug().Msg("too fine")
	l.Info().Int64("position", 9007199254740993).Bool("built", true).Float64("lag", 0.5).Msg("built")
	l.Warn().Err(errors.New("no room")).Strs("tables", []string{"a", "b"}).Send()
	l.Error().Dict("event", zerolog.Dict().Str("id", "e 1")).Msg("stopped")
	l.Log().Msg("no level")
	want := `level=INFO msg=built service=bank built=true lag=0.5 part=projections position=9007199254740993
level=WARN msg="" service=bank error="no room" part=projections tables="[a b]"
level=ERROR msg=stopped service=bank event="map[id:e 1]" part=projections
level=INFO msg="no level" service=bank part=projections
`
	if got.String() != want {
		t.Errorf("slog got\n%swant\n%s", got.String(), want)
	}
}
