package bench

import (
	"fmt"

	"github.com/57528e99/recount/eventstore"
)

// posted is an event of some 200 bytes with one of many topics. One in pinnedShare is pinned, which is another type.
type posted struct {
	Topic string `json:"topic"`
	Text  string `json:"text"`
}

type pinned posted

const (
	typePinned  = "Pinned"
	pinnedShare = 10
)

func newPostCodec() (*eventstore.Codec, error) {
	return eventstore.NewCodec(eventstore.TypeOf[posted]("Posted", 1), eventstore.TypeOf[pinned](typePinned, 1))
}

func topic(n int) string { return fmt.Sprintf("topic-%d", n) }

// postStreams is how many streams posts go to, in turns.
const postStreams = 200

// post is event number n.
func post(n, topics int) (string, any) {
	stream, p := fmt.Sprintf("post-%d", n%postStreams), posted{topic(n % topics), noteText}
	if n/postStreams%pinnedShare == 0 {
		return stream, pinned(p)
	}
	return stream, p
}
