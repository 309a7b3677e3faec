package archive

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/klauspost/compress/zstd"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/eventstore"
)

// Segment is a file with events, as its name tells of it.
type Segment struct {
	// Key is its name.
	Key         string    `json:"key"`
	Log         uuid.UUID `json:"log"`
	Incarnation int64     `json:"incarnation"`
	Partition   int       `json:"partition"`
	// First and Last are the positions of its first and last event, From and To when those were recorded.
	First  int64     `json:"first"`
	Last   int64     `json:"last"`
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	Events int       `json:"events"`
	SHA256 string    `json:"sha256"`
	// Bytes is its size, and WrittenAt when it was written, as the disk or the bucket says.
	Bytes     int64     `json:"bytes"`
	WrittenAt time.Time `json:"written_at"`
}

var keySyntax = regexp.MustCompile(`^([0-9a-f-]{36})/(\d{6,})/p(\d{3})/(\d{19})-(\d{19})-(\d+)-(\d+)-(\d+)-([0-9a-f]{64})\.ndjson\.zst$`)

// parseKey reads what the name of a segment says. Not ok: it is no segment.
func parseKey(key string) (s Segment, ok bool) {
	m := keySyntax.FindStringSubmatch(key)
	if m == nil {
		return s, false
	}
	var err error
	number := func(text string) (n int64) {
		if err == nil {
			n, err = strconv.ParseInt(text, 10, 64)
		}
		return n
	}
	s = Segment{Key: key, Incarnation: number(m[2]), Partition: int(number(m[3])), First: number(m[4]), Last: number(m[5]), Events: int(number(m[6])),
		From: time.UnixMicro(number(m[7])).UTC(), To: time.UnixMicro(number(m[8])).UTC(), SHA256: m[9]}
	if err == nil {
		s.Log, err = uuid.Parse(m[1])
	}
	return s, err == nil && s.key() == key
}

func (s *Segment) key() string {
	return fmt.Sprintf("%s%019d-%019d-%d-%d-%d-%s.ndjson.zst", directory(eventstore.Token{Log: s.Log, Incarnation: s.Incarnation}, s.Partition),
		s.First, s.Last, s.Events, s.From.UnixMicro(), s.To.UnixMicro(), s.SHA256)
}

// directory is where the segments of a partition are.
func directory(log eventstore.Token, partition int) string {
	return fmt.Sprintf("%s/%06d/p%03d/", log.Log, log.Incarnation, partition)
}

func byPosition(a, b Segment) int {
	return cmp.Or(bytes.Compare(a.Log[:], b.Log[:]), cmp.Compare(a.Incarnation, b.Incarnation), cmp.Compare(a.First, b.First),
		cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Key, b.Key))
}

// header is the first line of a segment.
type header struct {
	Format       int       `json:"recount_archive"`
	Subscription string    `json:"subscription"`
	Log          uuid.UUID `json:"log"`
	Incarnation  int64     `json:"incarnation"`
	// After is the last position that the log has in common with its incarnations before; 0: it is the first.
	After     int64 `json:"after,omitzero"`
	Partition int   `json:"partition"`
	// Previous is the name of the segment that was written before; empty: none was.
	Previous string `json:"previous,omitzero"`
}

// One encoder for all: EncodeAll may be called by several at once. It makes the same bytes of the same text.
var encoder = sync.OnceValue(func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(4))
	if err != nil {
		panic(err) // options that make no sense
	}
	return e
})

// encode returns a segment with the events, which are some, and its content.
func encode(h header, events []delivery.Event) (Segment, []byte) {
	events = slices.Clone(events)
	slices.SortFunc(events, func(a, b delivery.Event) int { return cmp.Compare(a.Position, b.Position) })
	size := 256
	for i := range events {
		size += events[i].Size() + 512
	}
	line, _ := json.Marshal(h) // it has nothing that cannot be
	text := append(append(make([]byte, 0, size), line...), '\n')
	for i := range events {
		text = append(events[i].AppendLine(text), '\n')
	}
	content := encoder().EncodeAll(text, make([]byte, 0, len(text)/4))
	sum := sha256.Sum256(content)
	first, last := events[0], events[len(events)-1]
	s := Segment{Log: h.Log, Incarnation: h.Incarnation, Partition: h.Partition, First: first.Position, Last: last.Position,
		From: first.RecordedAt.UTC(), To: last.RecordedAt.UTC(), Events: len(events), SHA256: hex.EncodeToString(sum[:]), Bytes: int64(len(content))}
	s.Key = s.key()
	return s, content
}

// DamageError says that a segment is not what it was when it was written.
type DamageError struct {
	Key string `json:"key"`
	// Kind says in a word what is wrong with it.
	Kind   Damage `json:"kind"`
	Detail string `json:"detail"`
}

// Damage is what can be wrong with an archive.
type Damage string

// The kinds.
const (
	// Changed: the content is not that of which the name has the SHA-256.
	Changed Damage = "changed"
	// Unreadable: the content is what was written, but no segment that this program can read.
	Unreadable Damage = "unreadable"
	// Misnamed: the name says something else than the content.
	Misnamed Damage = "misnamed"
	// Missing: another segment, or last.json, names it, it was not too old to be kept, and it is not there.
	Missing Damage = "missing"
)

func (e *DamageError) Error() string { return fmt.Sprintf("%s is %s: %s", e.Key, e.Kind, e.Detail) }

func (s *Segment) damaged(kind Damage, format string, args ...any) error {
	return &DamageError{s.Key, kind, fmt.Sprintf(format, args...)}
}

// decoders are for reuse: one has room for what it decodes.
var decoders = sync.Pool{New: func() any {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(1<<30))
	if err != nil {
		panic(err) // options that make no sense
	}
	return d
}}

// decode returns the lines of a segment, of which the first is its header, and what that says. The error is a *DamageError.
func (s *Segment) decode(content []byte) (h header, lines [][]byte, err error) {
	if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != s.SHA256 {
		return h, nil, s.damaged(Changed, "its SHA-256 is %x", sum)
	}
	d := decoders.Get().(*zstd.Decoder)
	text, err := d.DecodeAll(content, nil)
	decoders.Put(d)
	if err != nil {
		return h, nil, s.damaged(Unreadable, "%v", err)
	}
	lines = bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"))
	if err = json.Unmarshal(lines[0], &h); err == nil && h.Format == 0 {
		err = errors.New("it says no format")
	}
	switch {
	case err != nil:
		return h, nil, s.damaged(Unreadable, "its first line: %v", err)
	case h.Format > format:
		return h, nil, s.damaged(Unreadable, "it is of format %d, and this program knows up to %d", h.Format, format)
	case h.Log != s.Log || h.Incarnation != s.Incarnation || h.Partition != s.Partition || len(lines)-1 != s.Events:
		return h, nil, s.damaged(Misnamed, "it is of log %s, incarnation %d, partition %d, with %d events", h.Log, h.Incarnation, h.Partition, len(lines)-1)
	}
	return h, lines[1:], nil
}

// parse returns the event of a line. The error is a *DamageError.
func (s *Segment) parse(line []byte) (delivery.Event, error) {
	e, err := delivery.ParseEvent(line)
	switch {
	case err != nil:
		return e, s.damaged(Unreadable, "%v", err)
	case e.Position < s.First || e.Position > s.Last || e.RecordedAt.Before(s.From) || e.RecordedAt.After(s.To):
		return e, s.damaged(Misnamed, "it has the event at position %d of %s", e.Position, e.RecordedAt.Format(time.RFC3339Nano))
	case e.MessageID != delivery.MessageID(s.Log, e.RecordedEvent):
		return e, s.damaged(Unreadable, "the event at position %d is none of the log: its message_id is another", e.Position)
	}
	e.Key, e.Attempt = e.Stream, 1
	return e, nil
}

// base is the name of a segment in its directory, as headers have it.
func (s *Segment) base() string { return path.Base(s.Key) }
