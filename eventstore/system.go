package eventstore

// Types of the events that stores write themselves. Readers of the log see them
// like any other event. Others that begin with '$' are the engine's, see
// AppendOptions.System.
const (
	// TypeMetadata is a stream's metadata: StreamMetadata as JSON, in the
	// stream named by MetadataStream. The last one holds.
	TypeMetadata = "$metadata"
	// TypeDeleted marks a deletion, in the deleted stream itself. It takes a
	// version; the stream's next life begins after it.
	TypeDeleted = "$deleted"
	// TypeTombstone marks a deletion for ever. It is its stream's last event.
	TypeTombstone = "$tombstone"
)

// MetadataStream returns the name of the stream that holds a stream's metadata.
func MetadataStream(stream string) string { return "$$" + stream }
