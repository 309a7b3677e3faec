package hostile

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// call is a request with what is known of its answer.
type call struct {
	request
	// route is the line of the index that takes it.
	route string
	// unmodelled says that nothing is known of the route but its line.
	unmodelled bool
	// tree is the body; nil: there is none.
	tree *object
	// wants are the answers that are right; none: every answer in good order is.
	wants []want
	// done reads the answer that was right, and tells the world of it.
	done func(answer) error
	// how says what is wrong with the request, if anything.
	how []string
}

// want is an answer that is right: a status and, from 400 on, the code of the
// problem.
type want struct {
	status int
	code   string
}

func (w want) String() string { return strings.TrimSpace(fmt.Sprint(w.status, " ", w.code)) }

// clone returns a call that can be changed without changing c.
func (c call) clone() call {
	c.header = slices.Clone(c.header)
	c.body = slices.Clone(c.body)
	if c.tree != nil {
		c.tree = cloneTree(c.tree).(*object)
	}
	c.how = slices.Clone(c.how)
	return c
}

// seal turns the tree into the body. It is called once all changes to the tree
// are made.
func (c *call) seal() {
	if c.tree == nil || c.body != nil {
		return
	}
	c.body = render(c.tree)
	if _, ok := c.get("Content-Type"); !ok {
		c.set("Content-Type", "application/json")
	}
}

// outcome checks what every answer owes, and says which one it is.
func (r request) outcome(a answer) (want, error) {
	if err := checkAnswer(r, a); err != nil {
		return want{}, err
	}
	if a.status < 400 || r.method == http.MethodHead {
		return want{status: a.status}, nil
	}
	p, err := readProblem(a)
	return want{a.status, p.Code}, err
}

// judge checks an answer.
func (c call) judge(a answer) error {
	got, err := c.outcome(a)
	if err != nil {
		return err
	}
	if c.mayBeBehind() && got == (want{http.StatusServiceUnavailable, "projection-behind"}) {
		return nil
	}
	if a.status >= 500 {
		return fmt.Errorf("the answer is %v, a fault of the server", got)
	}
	right := func(w want) bool { return w == got || w.status == got.status && c.method == http.MethodHead }
	if len(c.wants) > 0 && !slices.ContainsFunc(c.wants, right) {
		return fmt.Errorf("the answer is %v, want %v", got, c.wants)
	}
	if c.done == nil {
		return nil
	}
	return c.done(a)
}

// mayBeBehind reports whether 503 projection-behind is an answer in good order:
// to a read that has a token and did not say that it will wait.
func (c call) mayBeBehind() bool {
	_, inHeader := c.get("Consistency-Token")
	prefer, _ := c.get("Prefer")
	return (inHeader || strings.Contains(c.target, "consistency=")) && prefer != longWait
}

// longWait is the preference of reads that have to be answered.
const longWait = "wait=10"

// ack is the answer to a command that was accepted.
type ack struct {
	Stream   string `json:"stream"`
	Version  int64  `json:"version"`
	Position int64  `json:"position"`
	token    string
}

func readAck(a answer) (k ack, err error) {
	if err := decodeStrictly(a.body, &k); err != nil {
		return k, err
	}
	k.token = a.header.Get("Consistency-Token")
	switch {
	case k.token == "":
		return k, errors.New("there is no Consistency-Token")
	case a.header.Get("ETag") != fmt.Sprintf(`"%d"`, k.Version):
		return k, fmt.Errorf("the ETag is %s at version %d", a.header.Get("ETag"), k.Version)
	case k.Position < 1:
		return k, fmt.Errorf("the position is %d", k.Position)
	}
	return k, nil
}
