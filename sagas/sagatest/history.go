package sagatest

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/57528e99/recount/sagas"
)

// History returns events as a text, one on a line: its version, its type, its members but for the time.
func History(events []sagas.Event) string {
	var b strings.Builder
	for version, e := range events {
		fmt.Fprintf(&b, "\n  %3d %-22s%s", version, strings.TrimPrefix(fmt.Sprintf("%T", e), "sagas."), membersOf(e))
	}
	return b.String()
}

func membersOf(e sagas.Event) string {
	text, err := json.Marshal(e)
	var members map[string]json.RawMessage
	if err != nil || json.Unmarshal(text, &members) != nil {
		return fmt.Sprintf("%+v", e)
	}
	delete(members, "at")
	var b strings.Builder
	for _, first := range []string{"step", "status", "code"} {
		if value, ok := members[first]; ok && string(value) != `""` {
			fmt.Fprintf(&b, " %s", strings.Trim(string(value), `"`))
		}
		delete(members, first)
	}
	if len(members) > 0 {
		text, _ = json.Marshal(members)
		fmt.Fprintf(&b, " %s", text)
	}
	return b.String()
}
