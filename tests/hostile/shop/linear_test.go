package shop

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/57528e99/recount/tests/hostile/wire"
)

// moment is a time of a test, in milliseconds.
func moment(ms int) time.Time { return time.Unix(0, 0).Add(time.Duration(ms) * time.Millisecond) }

// moved is a move that was sent at one moment and answered at another.
func moved(m move, begun, ended int, got wire.Want) *deed {
	return &deed{Call: wire.Call{Request: wire.Request{Method: http.MethodPost}}, stream: "stock-x", begun: moment(begun), ended: moment(ended), got: got, would: m.would}
}

// accepted is a move that made a version, at the position after it.
func accepted(m move, begun, ended int, version int64) *deed {
	d := moved(m, begun, ended, wire.Want{Status: http.StatusOK})
	d.ack = wire.Ack{Stream: d.stream, Version: version, Position: version + 1}
	return d
}

// readOf is a read that was sent when a position was known, and showed so many units on hand.
func readOf(floor int64, begun, ended int, onHand int64) *deed {
	d := moved(move{}, begun, ended, wire.Want{Status: http.StatusOK})
	d.Method, d.floor = http.MethodGet, floor
	d.would = func(s *subject) wire.Want { return s.found(s.version >= 0) }
	d.shows = func(s *subject, _ wire.Answer) error {
		if s.article.onHand != onHand {
			return errors.New("other stock")
		}
		return nil
	}
	return d
}

// demanding is a deed with a precondition on a version.
func demanding(version int64, d *deed) *deed {
	d.expected = &version
	return d
}

// preconditionFailed is the answer to a precondition that does not hold.
func preconditionFailed(begun, ended int, expected, actual int64) *deed {
	d := demanding(expected, moved(move{onHand: 1}, begun, ended, wire.Refusal(http.StatusPreconditionFailed, "precondition-failed")))
	d.answer = wire.Answer{Status: http.StatusPreconditionFailed,
		Header: http.Header{"Content-Type": {"application/problem+json"}, "X-Request-Id": {"1"}},
		Body:   fmt.Appendf(nil, `{"type":"/problems/precondition-failed","code":"precondition-failed","status":412,"title":"t","detail":"d","hint":"h","request_id":"1","actual":%d}`, actual)}
	return d
}

func TestAnyOrderThatExplainsAllAnswersWillDo(t *testing.T) {
	t.Parallel()
	receive, reserve, ship := move{onHand: 5}, move{reserved: 5, order: "1"}, move{onHand: -5, reserved: -5, order: "1"}
	short, conflict := wire.Refusal(http.StatusConflict, "stock-insufficient"), wire.Refusal(http.StatusConflict, "conflict")
	versions := func(n int) (list []*deed) {
		for i := range n {
			list = append(list, accepted(receive, 2*i, 2*i+1, int64(i)))
		}
		return list
	}
	for _, c := range []struct {
		name  string
		deeds []*deed
		wrong string // what is said of the first one that cannot be
	}{
		{"one after the other", []*deed{accepted(receive, 0, 1, 0), accepted(reserve, 2, 3, 1), accepted(ship, 4, 5, 2), moved(reserve, 6, 7, short)}, ""},
		{"at once, in either order", []*deed{accepted(reserve, 0, 9, 1), accepted(receive, 0, 9, 0), moved(reserve, 0, 9, short)}, ""},
		{"refused between two", []*deed{accepted(receive, 0, 1, 0), accepted(reserve, 2, 9, 1), moved(reserve, 3, 4, short), accepted(ship, 10, 11, 2)}, ""},
		{"refused before there was anything", []*deed{moved(reserve, 0, 3, short), accepted(receive, 2, 4, 0)}, ""},
		{"two winners", []*deed{accepted(receive, 0, 9, 0), accepted(receive, 0, 9, 0)}, "version 0 of .* 1 commands to .* were accepted before"},
		{"nobody won", []*deed{accepted(receive, 0, 1, 0), accepted(receive, 2, 3, 2)}, "version 2 of .* 1 commands"},
		{"accepted against the rules", []*deed{accepted(receive, 0, 1, 0), accepted(reserve, 2, 3, 1), accepted(reserve, 4, 5, 2)}, "version 2: the answer is 200; at version 1 the answer is 409 stock-insufficient"},
		{"refused for no reason", []*deed{accepted(receive, 0, 1, 0), moved(reserve, 2, 3, short)}, "at no version from 0 to 0"},
		{"refused by what came later", []*deed{accepted(receive, 0, 1, 0), moved(reserve, 2, 3, short), accepted(reserve, 4, 5, 1)}, "at no version from 0 to 0"},
		{"order against the clock", []*deed{accepted(receive, 4, 5, 0), accepted(receive, 0, 1, 1)}, "it has version [01], but was sent and answered"},
		{"positions that go back", []*deed{accepted(receive, 0, 1, 0), func() *deed { d := accepted(receive, 2, 3, 1); d.ack.Position = 1; return d }()}, "position 1, the version before it 1"},
		{"read of any version on the way", []*deed{accepted(receive, 0, 1, 0), accepted(receive, 2, 9, 1), readOf(1, 3, 4, 5), readOf(1, 3, 4, 10)}, ""},
		{"read of a version behind the token", []*deed{accepted(receive, 0, 1, 0), accepted(receive, 2, 3, 1), readOf(2, 4, 5, 5)}, "at no version from 1 to 1.*other stock"},
		{"read of what never was", []*deed{accepted(receive, 0, 1, 0), accepted(receive, 2, 9, 1), readOf(1, 3, 4, 7)}, "other stock"},
		{"overtaken too often", append(versions(11), moved(reserve, 0, 30, conflict)), ""},
		{"overtaken, but not so often", append(versions(10), moved(reserve, 0, 30, conflict)), "only versions 0 to 9 were made in the meantime"},
		{"overtaken by what came before", append(versions(11), moved(reserve, 5, 30, conflict)), "only versions 2 to 10 were made"},
		{"precondition that holds", []*deed{accepted(receive, 0, 1, 0), demanding(0, accepted(receive, 2, 3, 1))}, ""},
		{"precondition taken no notice of", []*deed{accepted(receive, 0, 1, 0), accepted(receive, 2, 3, 1), demanding(0, accepted(receive, 2, 3, 2))}, "at version 1 the answer is 412"},
		{"precondition that fails", []*deed{accepted(receive, 0, 1, 0), accepted(receive, 2, 3, 1), preconditionFailed(2, 4, 0, 1)}, ""},
		{"precondition that fails at another version", []*deed{accepted(receive, 0, 1, 0), accepted(receive, 2, 3, 1), preconditionFailed(4, 5, 0, 7)}, "not the actual version 1"},
		{"precondition that fails though it holds", []*deed{accepted(receive, 0, 1, 0), preconditionFailed(2, 3, 0, 0)}, "at version 0 the answer is 200"},
	} {
		begin := subject{version: -1, article: article{version: -1, reservations: map[string]int64{}}}
		_, wrong := judge(begin, c.deeds)
		switch {
		case c.wrong == "" && wrong != nil:
			t.Errorf("%s: %v", c.name, wrong.err)
		case c.wrong != "" && (wrong == nil || !regexp.MustCompile(c.wrong).MatchString(wrong.err.Error())):
			t.Errorf("%s: it finds %v, want %s", c.name, wrong, c.wrong)
		}
	}
}
