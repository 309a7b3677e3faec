package delivery

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/delivery/window"
	"github.com/57528e99/recount/operations"
)

// Windows is how a subscription is that counts events in windows.
type Windows struct {
	Subscription string      `json:"subscription"`
	Kind         window.Kind `json:"kind"`
	// Watermark is that of the partition which is the furthest behind; null: there was no event.
	Watermark *time.Time `json:"watermark"`
	// Open is how many windows are open, Kept how many are closed and may be updated.
	Open int64 `json:"open"`
	Kept int64 `json:"kept"`
	// Closings is how many there were, Late how many events came for a window that had closed, and Dropped those of them that were counted in none.
	// They begin anew when the windows are counted anew.
	Closings int64 `json:"closings"`
	Late     int64 `json:"late"`
	Dropped  int64 `json:"dropped"`
}

// OneWindow is a window as it is now.
type OneWindow struct {
	Key    string    `json:"key"`
	Start  time.Time `json:"start"`
	End    time.Time `json:"end"`
	Closed bool      `json:"closed"`
	// Closings is how often it was closed, Late how many of its events came after that.
	Closings int   `json:"closings"`
	Events   int64 `json:"events"`
	Late     int64 `json:"late"`
	// Position is that of the last of its events in the log.
	Position int64                      `json:"position"`
	Values   map[string]json.RawMessage `json:"values"`
}

// WindowQuery picks windows of a subscription, by key and start.
type WindowQuery struct {
	// Key is that of the windows that are wanted; empty: any.
	Key string
	// Closed wants those too that are closed and may be updated.
	Closed bool
	// Limit is how many are wanted at most, up to 1,000. Default: 100.
	Limit int
	// Cursor is that of the page before. Default: the first page.
	Cursor string
}

const (
	allWindowsSQL = `
SELECT s.name, s.definition, p.watermark, p.closed, p.late, p.dropped, w.open, w.kept
FROM {schema}.subscriptions s CROSS JOIN LATERAL (
    SELECT min(watermark) AS watermark, coalesce(sum(closed), 0)::bigint AS closed, coalesce(sum(late), 0)::bigint AS late, coalesce(sum(dropped), 0)::bigint AS dropped
    FROM {schema}.window_partitions WHERE subscription = s.id) AS p
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE NOT closed) AS open, count(*) FILTER (WHERE closed) AS kept FROM {schema}.windows WHERE subscription = s.id AND $2) AS w
WHERE s.needs = 'window' AND s.name IS NOT NULL AND ($1 = '' OR s.app = $1) ORDER BY s.name`

	pageOfWindowsSQL = `
SELECT ` + windowColumns + ` FROM {schema}.windows w
WHERE w.subscription = $1 AND ($2 = '' OR w.key = $2) AND (w.key, w.start_at) > ($3, $4) AND ($5 OR NOT w.closed)
ORDER BY w.key, w.start_at LIMIT $6`
)

// Windows returns how the subscriptions of the App are that count events in windows, ordered by name.
func (a *Admin) Windows(ctx context.Context) ([]Windows, error) { return a.windows(ctx, true) }

// WindowCounters is Windows without Open and Kept, which are 0: those are rows that have to be counted, and there may be millions.
func (a *Admin) WindowCounters(ctx context.Context) ([]Windows, error) { return a.windows(ctx, false) }

func (a *Admin) windows(ctx context.Context, counted bool) ([]Windows, error) {
	rows, err := a.records.pool.Query(ctx, a.records.sql(allWindowsSQL), a.records.app, counted)
	all := []Windows{}
	if err == nil {
		all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (w Windows, err error) {
			var text string
			var watermark *int64
			if err = row.Scan(&w.Subscription, &text, &watermark, &w.Closings, &w.Late, &w.Dropped, &w.Open, &w.Kept); err != nil {
				return w, err
			}
			if watermark != nil {
				w.Watermark = new(time.UnixMicro(*watermark).UTC())
			}
			if d, err := parseStored(text); err == nil && d.Target.Window != nil {
				w.Kind = d.Target.Window.Kind
			}
			return w, nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("list windows: %w", err)
	}
	return all, nil
}

// WindowsOf returns windows of a subscription by key and start, and the cursor of the next page; empty: there is none.
//
// Errors: ErrNotFound, also for a subscription that has no windows; operations.ErrInvalid.
func (a *Admin) WindowsOf(ctx context.Context, name string, q WindowQuery) ([]OneWindow, string, error) {
	all, next, err := a.windowsOf(ctx, name, q)
	if err != nil {
		return nil, "", fmt.Errorf("list windows of subscription %q: %w", name, err)
	}
	return all, next, nil
}

func (a *Admin) windowsOf(ctx context.Context, name string, q WindowQuery) (all []OneWindow, next string, err error) {
	if q.Limit == 0 {
		q.Limit = deadLimit
	}
	if q.Limit < 1 || q.Limit > maxDeadLimit {
		return nil, "", operations.InvalidOption("limit", "is %d, it must be from 1 to %d", q.Limit, maxDeadLimit)
	}
	key, start := "", window.NoWatermark
	if q.Cursor != "" {
		text, err := base64.RawURLEncoding.DecodeString(q.Cursor)
		if err != nil || len(text) < 8 {
			return nil, "", operations.InvalidOption("after", "must be the cursor of the page before")
		}
		key, start = strings.ToValidUTF8(strings.ReplaceAll(string(text[8:]), "\x00", ""), ""), int64(binary.BigEndian.Uint64(text))
	}
	s, err := a.records.find(ctx, a.records.pool, name, "")
	if err != nil {
		return nil, "", err
	}
	if s.definition.Target.Window == nil {
		return nil, "", fmt.Errorf("%w among those that count events in windows", ErrNotFound)
	}
	w := newWindowTarget(s.definition, a.records, nil)
	rows, err := a.records.pool.Query(ctx, a.records.sql(pageOfWindowsSQL), s.id, q.Key, key, start, q.Closed, q.Limit+1)
	if err != nil {
		return nil, "", err
	}
	windows, err := w.scan(rows)
	if err != nil {
		return nil, "", err
	}
	all = make([]OneWindow, 0, len(windows))
	for i, one := range windows {
		if i == q.Limit {
			last := windows[i-1]
			return all, base64.RawURLEncoding.EncodeToString(append(binary.BigEndian.AppendUint64(nil, uint64(last.Start)), last.Key...)), nil
		}
		all = append(all, OneWindow{one.Key, time.UnixMicro(one.Start).UTC(), time.UnixMicro(one.End).UTC(), one.Closed, one.Closings, one.Events, one.Late,
			one.Position, w.named(one.Values(&w.config))})
	}
	return all, "", nil
}
