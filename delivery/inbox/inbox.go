// Package inbox appends messages of brokers to the log, each once: the id of an event is made of what its message is known by, so one that
// comes again, to this process or another, appends nothing. A broker is told that it is rid of a message when the log has it. Packages nats,
// kafka and rabbitmq of package delivery consume from brokers.
package inbox

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/background"
	"github.com/57528e99/recount/operations"
)

// Inbox appends the messages of one delivery.Inbox. It is safe for concurrent use.
type Inbox struct {
	config    delivery.Inbox
	log       eventstore.Appender
	logger    zerolog.Logger
	namespace uuid.UUID
}

// namespace is that of the ids of inboxes.
var namespace = uuid.MustParse("5f0f6f0e-6a43-5a0c-9d0e-0d6c7f1b8a52")

// New returns the inbox, which appends to a log and tells the logger of what it cannot append for now. The error is a
// *delivery.InvalidError.
func New(config delivery.Inbox, log eventstore.Appender, logger zerolog.Logger) (*Inbox, error) {
	config, err := config.Checked()
	if err != nil {
		return nil, err
	}
	return &Inbox{config, log, logger.With().Str("inbox", config.Name).Logger(), uuid.NewSHA1(namespace, []byte(config.Name))}, nil
}

// Config returns the delivery.Inbox with what it leaves out filled in.
func (i *Inbox) Config() delivery.Inbox { return i.config }

// Run calls consume again and again, soon after it has returned and later and later if it goes on failing, until ctx ends.
func (i *Inbox) Run(ctx context.Context, consume func(context.Context) error) {
	backoff := background.Backoff{Longest: 10 * time.Second}
	for ctx.Err() == nil {
		began := time.Now()
		err := consume(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > time.Minute {
			backoff.Reset()
		}
		i.logger.Warn().Err(err).Msg("consume again")
		background.Sleep(ctx, backoff.Next())
	}
}

// concurrency is how many streams are appended to at once.
const concurrency = 32

// Append appends messages, those of a stream in the order in which they are given, and returns nil when all are in the log. It goes on
// until they are, or ctx ends: messages that can never be are in the stream inbox_rejected-NAME then, as events of the type
// MessageRejected. Waiting is called now and then meanwhile.
func (i *Inbox) Append(ctx context.Context, messages []Message, waiting func()) error {
	streams := make(map[string][]int)
	events := make([]eventstore.Event, len(messages))
	for n := range messages {
		stream, e, err := i.event(&messages[n])
		if err != nil {
			stream, e = i.rejected(&messages[n], err)
		}
		streams[stream], events[n] = append(streams[stream], n), e
	}
	done := make(chan struct{})
	var ticking sync.WaitGroup
	defer ticking.Wait()
	defer close(done)
	ticking.Go(func() {
		ticker := time.NewTicker(5 * time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				waiting()
			case <-done:
				return
			}
		}
	})
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(concurrency)
	for stream, of := range streams {
		g.Go(func() error {
			for _, n := range of {
				if err := i.append(ctx, stream, events[n], &messages[n]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// append appends an event until it is there.
func (i *Inbox) append(ctx context.Context, stream string, e eventstore.Event, m *Message) error {
	backoff := background.Backoff{}
	for {
		err := i.appendOnce(ctx, stream, e)
		isRejected := strings.HasPrefix(stream, rejectedPrefix)
		if errors.Is(err, eventstore.ErrIDReused) {
			if isRejected { // this message was told of before, from another place
				return nil
			}
			erased, failed := i.isErased(ctx, stream, e)
			if erased {
				i.logger.Warn().Str("place", m.Place).Msg("a message comes again whose event was erased: it stays so")
				return nil
			}
			err = cmp.Or(failed, err)
		}
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		}
		if outcome, _ := delivery.OutcomeOf(err); outcome == delivery.PermanentFailure && !isRejected {
			i.logger.Error().Err(err).Str("place", m.Place).Msg("a message is rejected")
			stream, e = i.rejected(m, err)
			continue
		}
		i.logger.Warn().Err(err).Str("place", m.Place).Msg("a message waits, as it cannot be appended")
		if !background.Sleep(ctx, backoff.Next()) {
			return ctx.Err()
		}
	}
}

func (i *Inbox) appendOnce(ctx context.Context, stream string, e eventstore.Event) error {
	_, err := i.log.Append(ctx, eventstore.StreamAppend{Stream: stream, Expected: eventstore.Any, Events: []eventstore.Event{e}}, eventstore.AppendOptions{})
	return err
}

// isErased reports whether the event that has the id of e has no data any more. It is asked for by appending that, which writes nothing: the id is
// there.
func (i *Inbox) isErased(ctx context.Context, stream string, e eventstore.Event) (bool, error) {
	for _, nothing := range []string{"", "null", "{}"} {
		e.Data = []byte(nothing)
		err := i.appendOnce(ctx, stream, e)
		if err == nil {
			return true, nil
		}
		if outcome, _ := delivery.OutcomeOf(err); outcome != delivery.PermanentFailure {
			return false, err
		}
	}
	return false, nil
}

const rejectedPrefix = "inbox_rejected-"

// keptRejected is how many bytes of a rejected message are kept.
const keptRejected = 256 << 10

// rejected returns what tells of a message that can never be appended, under an id that is the same each time, and that of no other message.
func (i *Inbox) rejected(m *Message, why error) (string, eventstore.Event) {
	sum := sha256.Sum256(m.Body)
	told := map[string]any{
		"inbox": i.config.Name, "reason": operations.SanitizeText(why.Error()), "place": m.Place, "bytes": len(m.Body),
		"sha256": hex.EncodeToString(sum[:]), "data_base64": m.Body[:min(len(m.Body), keptRejected)],
	}
	data, _ := json.Marshal(told) // of texts, numbers and bytes
	id := i.idOf(m)
	return rejectedPrefix + i.config.Name, eventstore.Event{
		ID: uuid.NewSHA1(id, append([]byte("rejected\x00"), sum[:]...)), Type: "MessageRejected", SchemaVersion: 1, ContentType: eventstore.ContentTypeJSON, Data: data,
	}
}

// event returns what a message is in the log.
func (i *Inbox) event(m *Message) (stream string, e eventstore.Event, err error) {
	c, err := m.cloudEvent()
	if err != nil {
		return "", e, err
	}
	values := map[string]string{"{subject}": c.attributes["subject"], "{key}": m.Key, "{type}": c.attributes["type"], "{id}": cmp.Or(c.attributes["id"], m.ID), "{topic}": m.Topic}
	stream, err = expand(i.config.Stream, values)
	if err == nil {
		e.Type, err = expand(i.config.Type, values)
	}
	if err != nil {
		return "", e, err
	}
	if strings.HasPrefix(stream, "$") || strings.HasPrefix(e.Type, "$") {
		return "", e, fmt.Errorf("the stream %.100q or the type %.100q begins with '$': those belong to the store", stream, e.Type)
	}
	e.ID, e.SchemaVersion, e.ContentType, e.Data = i.idOf(m), 1, c.contentType, c.data
	if version, err := strconv.Atoi(c.attributes["schemaversion"]); err == nil && version > 0 {
		e.SchemaVersion = version
	}
	if e.ContentType == "" && json.Valid(e.Data) {
		e.ContentType = eventstore.ContentTypeJSON
	}
	e.ContentType = cmp.Or(e.ContentType, "application/octet-stream")
	told := map[string]any{"inbox": map[string]string{"name": i.config.Name, "place": m.Place, "id": values["{id}"], "source": c.attributes["source"]}}
	for member, attribute := range map[string]string{
		"correlation_id": c.attributes["correlationid"], "causation_id": values["{id}"], "traceparent": c.attributes["traceparent"], "tracestate": c.attributes["tracestate"],
	} {
		if attribute != "" {
			told[member] = attribute
		}
	}
	e.Metadata, err = json.Marshal(told)
	return stream, e, err
}

// idOf returns the id of a message's event: of source and id of a CloudEvent, of the id that its sender gave it, or of its place. A message
// without any of these has another each time.
func (i *Inbox) idOf(m *Message) uuid.UUID {
	known := ""
	switch c, err := m.cloudEvent(); {
	case err == nil && c.attributes["id"] != "":
		known = "cloudevent\x00" + c.attributes["source"] + "\x00" + c.attributes["id"]
	case m.ID != "":
		known = "id\x00" + m.ID
	case m.Place != "":
		known = "place\x00" + m.Place
	default:
		return uuid.New()
	}
	return uuid.NewSHA1(i.namespace, []byte(known))
}

// expand puts values for placeholders. One that the message lacks is an error.
func expand(text string, values map[string]string) (string, error) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if strings.Contains(text, name) && values[name] == "" {
			return "", fmt.Errorf("the message has nothing for %s", name)
		}
	}
	var pairs []string
	for name, value := range values {
		pairs = append(pairs, name, value)
	}
	return strings.NewReplacer(pairs...).Replace(text), nil
}
