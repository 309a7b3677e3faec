package cli

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/57528e99/recount/internal/pgerr"
	"github.com/57528e99/recount/internal/pgsession"
)

// awaitDatabase waits until the database takes connections: it may well start at the same time as
// this process. An answer that will not change is returned at once.
func awaitDatabase(ctx context.Context, dsn string, patience time.Duration, logger zerolog.Logger) error {
	const pause, attempt = 250 * time.Millisecond, 5 * time.Second
	deadline := time.Now().Add(patience)
	for waited := false; ; waited = true {
		err := tryConnect(ctx, dsn, attempt)
		if err == nil || !pgerr.MayConnectLater(err) || !time.Now().Add(pause).Before(deadline) {
			return err
		}
		if !waited {
			logger.Warn().Str(zerolog.ErrorFieldName, message(err)).Dur("patience_ms", patience).Msg("waiting for the database")
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func tryConnect(ctx context.Context, dsn string, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return err
	}
	conn, err := pgsession.Connect(ctx, config)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}
