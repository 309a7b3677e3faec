package eventstore

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"time"
)

// Dedup says what counts as the same append, sent again by somebody who does not know the ids of its events.
type Dedup struct {
	// Key is what both have, at most 1,024 bytes. Default: their content, that is types, schema versions, content types and data of the
	// events; metadata is none of it, which may have the id of a request.
	Key string
	// Scope is among which appends. Default: DedupStream.
	Scope DedupScope
	// Window is how long after the first a second counts as the same, at most 24 hours. Default: 5 min.
	Window time.Duration
}

// DedupScope is among which appends one is sought that is the same.
type DedupScope string

const (
	// DedupStream: those to the same stream. Of streams with a stream each it is the key by which events are kept in order.
	DedupStream DedupScope = "stream"
	// DedupAll: those to any stream.
	DedupAll DedupScope = "all"
)

const (
	// DefaultDedupWindow is that of Dedup.
	DefaultDedupWindow = 5 * time.Minute
	maxDedupKey        = 1024
)

// AppendOnce appends, unless the same was appended within the window: then nothing is written, and the result is that of the first, with
// Duplicate. What is the same is decided with the append, whichever processes append, and whatever becomes of them: it is a Receipt,
// for which the store must declare Features.Receipts. The first also decides of what Expected demands: it is not looked at again.
//
// Errors are those of Append.
func AppendOnce(ctx context.Context, to Appender, a StreamAppend, d Dedup) (Appended, error) {
	r, err := d.receipt(a)
	if err != nil {
		return Appended{}, err
	}
	done, err := to.Append(ctx, a, AppendOptions{Receipt: r})
	if known := new(ReceiptKnownError); errors.As(err, &known) && len(known.Stored.Appended) == 1 {
		done, err = known.Stored.Appended[0], nil
		done.Duplicate = true
	}
	return done, err
}

// receipt returns the receipt that an append has.
func (d Dedup) receipt(a StreamAppend) (*Receipt, error) {
	switch d.Scope = cmp.Or(d.Scope, DedupStream); {
	case d.Scope != DedupStream && d.Scope != DedupAll:
		return nil, invalid("dedup.scope", `must be "stream" or "all"`)
	case len(d.Key) > maxDedupKey:
		return nil, invalid("dedup.key", "must have at most 1024 bytes")
	case len(a.Events) == 0:
		return nil, invalid("events", "must have one or more")
	}
	hash := sha256.New()
	write := func(parts ...[]byte) {
		for _, part := range parts {
			hash.Write(binary.AppendUvarint(nil, uint64(len(part)))) // else parts could be cut elsewhere
			hash.Write(part)
		}
	}
	if d.Scope == DedupStream {
		write([]byte(a.Stream))
	}
	if d.Key != "" {
		write([]byte("key"), []byte(d.Key))
	} else {
		write([]byte("content"))
		for _, e := range a.Events {
			version := binary.AppendUvarint(nil, uint64(cmp.Or(e.SchemaVersion, 1)))
			write([]byte(e.Type), version, []byte(cmp.Or(e.ContentType, ContentTypeJSON)), e.Data)
		}
	}
	return &Receipt{Scope: "dedup " + string(d.Scope), Key: hex.EncodeToString(hash.Sum(nil)), Window: cmp.Or(d.Window, DefaultDedupWindow)}, nil
}
