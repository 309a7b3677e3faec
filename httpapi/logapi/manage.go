package logapi

import (
	"context"
	"errors"
	"net/http"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/security"
)

const metadataPath = streamPath + "/metadata"

// manages registers the routes that say what a stream is, limit what is shown of it, and delete it.
func (r *routes) manages(a *httpapi.API) {
	httpapi.Read(a, metadataPath, httpapi.NoParams, r.info)
	a.Access(httpapi.Access{Stream: "{stream}"})
	httpapi.Action(a, http.MethodPut, metadataPath, httpapi.ActionOptions[info]{}, r.setMetadata)
	a.Access(httpapi.Access{Action: security.Append, Stream: "{stream}"})
	version := func(d deleted) int64 { return d.Version }
	httpapi.Action(a, http.MethodDelete, streamPath, httpapi.ActionOptions[deleted]{Version: version}, r.remove(eventstore.StreamManager.DeleteStream))
	a.Access(httpapi.Access{Action: security.Append, Stream: "{stream}"})
	httpapi.Action(a, http.MethodPost, streamPath+"/tombstone", httpapi.ActionOptions[deleted]{Version: version}, r.remove(eventstore.StreamManager.TombstoneStream))
	a.Access(httpapi.Access{Action: security.Operate, Stream: "{stream}"})
}

// metadata limit what is shown of a stream; 0: they do not.
type metadata struct {
	MaxCount int64 `json:"max_count"`
	// MaxAge is in seconds.
	MaxAge         int64 `json:"max_age"`
	TruncateBefore int64 `json:"truncate_before"`
}

// Validate implements httpapi.Validator.
func (m *metadata) Validate() error {
	for _, f := range []struct {
		name  string
		value int64
	}{{"/max_count", m.MaxCount}, {"/max_age", m.MaxAge}, {"/truncate_before", m.TruncateBefore}} {
		if f.value < 0 {
			return &memberError{f.name, "must not be negative; 0 is no limit"}
		}
	}
	return nil
}

// info is the state of a stream. Version and FirstVersion are -1 where it was never written.
type info struct {
	Stream       string   `json:"stream"`
	Version      int64    `json:"version"`
	FirstVersion int64    `json:"first_version"`
	Deleted      bool     `json:"deleted"`
	Tombstoned   bool     `json:"tombstoned"`
	Metadata     metadata `json:"metadata"`
}

func (r *routes) info(ctx context.Context, in httpapi.ReadRequest[struct{}]) (info, error) {
	if err := r.reaches(ctx, in.Token); err != nil {
		return info{}, err
	}
	i, err := r.Log.StreamInfo(ctx, in.Path("stream"))
	return infoOf(i), ofStream(in.Path("stream"), err)
}

func infoOf(i eventstore.StreamInfo) info {
	m := metadata{i.Metadata.MaxCount, int64(i.Metadata.MaxAge), i.Metadata.TruncateBefore}
	return info{i.Stream, i.Version, i.FirstVersion, i.Deleted, i.Tombstoned, m}
}

func (r *routes) setMetadata(ctx context.Context, in httpapi.ActionRequest[metadata]) (info, error) {
	stream, m := in.Path("stream"), in.Body
	if err := r.writable(stream); err != nil {
		return info{}, err
	}
	err := r.Log.SetStreamMetadata(ctx, stream, eventstore.StreamMetadata{
		MaxCount: m.MaxCount, MaxAge: eventstore.Seconds(m.MaxAge), TruncateBefore: m.TruncateBefore,
	})
	if err != nil {
		return info{}, ofStream(stream, err)
	}
	i, err := r.Log.StreamInfo(ctx, stream)
	if errors.Is(err, eventstore.ErrStreamNotFound) { // metadata may come before the stream
		return info{Stream: stream, Version: -1, FirstVersion: -1, Metadata: m}, nil
	}
	return infoOf(i), err
}

// deleted is the answer to a deletion: where its mark is.
type deleted struct {
	Stream   string `json:"stream"`
	Version  int64  `json:"version"`
	Position int64  `json:"position"`
}

func (r *routes) remove(remove func(eventstore.StreamManager, context.Context, string, eventstore.ExpectedVersion) (eventstore.Appended, error)) func(context.Context, httpapi.ActionRequest[struct{}]) (deleted, error) {
	return func(ctx context.Context, in httpapi.ActionRequest[struct{}]) (deleted, error) {
		stream := in.Path("stream")
		if err := r.writable(stream); err != nil {
			return deleted{}, err
		}
		done, err := remove(r.Log, ctx, stream, in.Expected)
		return deleted{stream, done.Version, done.Position}, ofStream(stream, err)
	}
}
