package httpapi

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/57528e99/recount/commands"
)

// storedAnswer is what a receipt keeps of an answer: the status on a line of
// its own and, for a refusal, the bytes of the problem. What a success says
// beside its status is in the outcome that the receipt keeps anyway.
type storedAnswer struct {
	status int
	body   []byte
}

func (s storedAnswer) bytes() []byte {
	return append(strconv.AppendInt(nil, int64(s.status), 10), append([]byte{'\n'}, s.body...)...)
}

func parseAnswer(b []byte) (storedAnswer, error) {
	line, body, ok := bytes.Cut(b, []byte{'\n'})
	status, err := strconv.Atoi(string(line))
	if !ok || err != nil || status < 200 || status > 599 {
		return storedAnswer{}, fmt.Errorf("stored answer %.60q does not begin with a status", b)
	}
	return storedAnswer{status, body}, nil
}

// answer renders what the receipt is to keep. A refusal is kept whole: its
// request id stays that of the first request.
func (c *commandRoute) answer(x *exchange, refusal error) []byte {
	if refusal == nil {
		return storedAnswer{status: c.successStatus()}.bytes()
	}
	p := x.problem(&commands.RejectedError{Err: refusal})
	stored := storedAnswer{p.Status, p.body()}.bytes()
	if len(stored) > commands.MaxAnswerBytes {
		p.Errors = nil // the only part that can be long
		stored = storedAnswer{p.Status, p.body()}.bytes()
	}
	return stored
}
