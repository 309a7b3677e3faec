package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	"github.com/klauspost/compress/zstd"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/archive"
	"github.com/57528e99/recount/eventstore"
)

// Archive measures how fast events are kept in files, and read again.
type Archive struct {
	// Duration is how long to measure each contender.
	Duration time.Duration
	// Dir is where the files are, for as long as it takes. Default: the directory for temporary files.
	Dir string
}

// Name implements Benchmark.
func (a Archive) Name() string { return "archive" }

// Check implements Benchmark.
func (a Archive) Check() error { return checkDuration(a.Duration) }

// archivedPerCall is how many events an attempt has.
const archivedPerCall = 10_000

// nameBareZstd is no more than what a file of such events takes.
const nameBareZstd = "JSON and zstd only, in memory"

func (a Archive) run(ctx context.Context, env *Env) (results []Result, all map[string]float64, err error) {
	dir, err := os.MkdirTemp(a.Dir, "recount-bench-")
	if err != nil {
		return nil, nil, err
	}
	defer os.RemoveAll(dir)
	events, log := eventsToArchive()
	d := delivery.Definition{Name: "archive", Filter: []byte(`{"type":["OrderPlaced"]}`),
		Target: delivery.TargetConfig{Archive: &delivery.ArchiveTarget{URL: "file://" + filepath.ToSlash(dir) + "/events", Retention: delivery.Duration(24 * 365 * time.Hour)}}}
	target, err := archive.New(d, archive.Config{Dir: dir, Now: func() time.Time { return events[0].RecordedAt }})
	if err != nil {
		return nil, nil, err
	}
	defer target.Close()
	text, err := bareZstd(events)
	if err != nil {
		return nil, nil, err
	}
	write := []contender{
		{"to a directory", func(ctx context.Context, _ int) (int, error) {
			return len(events), target.Deliver(ctx, &delivery.Delivery{Subscription: d.Name, Events: events, Epoch: 1, Log: log})
		}},
		{nameBareZstd, func(context.Context, int) (int, error) {
			_, err := bareZstd(events)
			return len(events), err
		}},
	}
	read := []contender{
		{"from a directory", func(ctx context.Context, _ int) (n int, err error) {
			kept, err := archive.Open(dir + "/read")
			if err != nil {
				return 0, err
			}
			defer kept.Close()
			for _, err := range kept.Read(ctx, archive.Range{}) {
				if err != nil {
					return n, err
				}
				n++
			}
			return n, nil
		}},
		{nameBareZstd, func(context.Context, int) (int, error) { return readBareZstd(text) }},
	}
	if err := toRead(ctx, dir, d, log, events); err != nil {
		return nil, nil, err
	}
	all = make(map[string]float64)
	for _, way := range []struct {
		name       string
		contenders []contender
	}{{"write", write}, {"read", read}} {
		found, err := compete(ctx, env, pace{1, a.Duration, defaultRounds}, way.contenders...)
		if err != nil {
			return nil, nil, err
		}
		found, compared := asked(way.name, found, ratios(found, "", nameBareZstd, rate))
		results = append(results, found...)
		maps.Copy(all, compared)
	}
	return results, all, nil
}

// toRead makes the archive that is read: four files of two partitions, which overlap.
func toRead(ctx context.Context, dir string, d delivery.Definition, log eventstore.Token, events []delivery.Event) error {
	d.Target.Archive = &delivery.ArchiveTarget{URL: "file://" + filepath.ToSlash(dir) + "/read", Retention: d.Target.Archive.Retention}
	target, err := archive.New(d, archive.Config{Dir: dir, Now: func() time.Time { return events[0].RecordedAt }})
	if err != nil {
		return err
	}
	defer target.Close()
	var parts [2][]delivery.Event
	for i := range 4 * len(events) {
		e := *events[i%len(events)].RecordedEvent
		e.Position, e.Version = int64(i+1), int64(i)
		parts[i%2] = append(parts[i%2], delivery.Event{RecordedEvent: &e, MessageID: delivery.MessageID(log.Log, &e)})
	}
	for partition, part := range parts {
		for half := range 2 {
			own := part[half*len(part)/2 : (half+1)*len(part)/2]
			if err := target.Deliver(ctx, &delivery.Delivery{Subscription: d.Name, Events: own, Partition: partition, Epoch: 1, Log: log}); err != nil {
				return err
			}
		}
	}
	return nil
}

func eventsToArchive() ([]delivery.Event, eventstore.Token) {
	log := eventstore.Token{Log: uuid.MustParse("6f1e6a7e-3c0b-4b55-9a0b-5a8f1d6f2a11"), Incarnation: 1}
	events := make([]delivery.Event, archivedPerCall)
	made := ordersToMatch()
	for i := range events {
		like := &made[i%len(made)]
		e := &eventstore.RecordedEvent{Stream: like.Stream, Position: int64(i + 1), Version: int64(i), RecordedAt: like.RecordedAt.Add(time.Duration(i) * time.Millisecond), Event: eventstore.Event{
			ID: uuid.NewSHA1(log.Log, fmt.Append(nil, i)), Type: like.Type, SchemaVersion: 1, ContentType: eventstore.ContentTypeJSON, Data: like.Data,
			Metadata: fmt.Appendf(nil, `{"correlation_id":"c-%d"}`, i)}}
		events[i] = delivery.Event{RecordedEvent: e, MessageID: delivery.MessageID(log.Log, e)}
	}
	return events, log
}

// bareZstd is what somebody would write first.
func bareZstd(events []delivery.Event) ([]byte, error) {
	var text bytes.Buffer
	z, err := zstd.NewWriter(&text, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	to := json.NewEncoder(z)
	for i := range events {
		if err := to.Encode(lineOf(events[i])); err != nil {
			return nil, err
		}
	}
	err = z.Close()
	return text.Bytes(), err
}

// line is an event as encoding/json writes it.
type line struct {
	Position   int64           `json:"position"`
	Stream     string          `json:"stream"`
	Version    int64           `json:"version"`
	ID         uuid.UUID       `json:"id"`
	Type       string          `json:"type"`
	RecordedAt time.Time       `json:"recorded_at"`
	Data       json.RawMessage `json:"data"`
	Metadata   json.RawMessage `json:"metadata"`
}

func lineOf(e delivery.Event) line {
	return line{e.Position, e.Stream, e.Version, e.ID, e.Type, e.RecordedAt, e.Data, e.Metadata}
}

func readBareZstd(text []byte) (n int, err error) {
	z, err := zstd.NewReader(bytes.NewReader(text), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return 0, err
	}
	defer z.Close()
	for from := json.NewDecoder(z); from.More(); n++ {
		var e line
		if err := from.Decode(&e); err != nil {
			return n, err
		}
	}
	return n, nil
}
