package wire

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Call is a request with what is known of its answer.
type Call struct {
	Request
	// Route is the line of the index that takes it.
	Route string
	// Parameters are those that the index has for it.
	Parameters []string
	// Unmodelled says that nothing is known of the route but its line.
	Unmodelled bool
	// Tree is the body; nil: there is none.
	Tree *Object
	// Wants are the answers that are right; none: every answer in good order is.
	Wants []Want
	// Done reads the answer that was right, and tells the world of it.
	Done func(Answer) error
	// How says what is wrong with the request, if anything.
	How []string
}

// Want is an answer that is right: a status and, from 400 on, the code of the
// problem.
type Want struct {
	Status int
	Code   string
}

// Refusal is a problem with a status and a code.
func Refusal(status int, code string) Want { return Want{status, code} }

func (w Want) String() string { return strings.TrimSpace(fmt.Sprint(w.Status, " ", w.Code)) }

// Clone returns a call that can be changed without changing c.
func (c Call) Clone() Call {
	c.Header = slices.Clone(c.Header)
	c.Body = slices.Clone(c.Body)
	if c.Tree != nil {
		c.Tree = cloneTree(c.Tree).(*Object)
	}
	c.How = slices.Clone(c.How)
	return c
}

// Seal turns the tree into the body. It is called once all changes to the tree
// are made.
func (c *Call) Seal() {
	if c.Tree == nil || c.Body != nil {
		return
	}
	c.Body = render(c.Tree)
	if _, ok := c.Get("Content-Type"); !ok {
		c.Set("Content-Type", "application/json")
	}
}

// WantOK says that the call will be answered with 200.
func (c Call) WantOK() Call {
	c.Wants = []Want{{Status: http.StatusOK}}
	return c
}

// Refused says that the call will be answered with a problem.
func (c Call) Refused(status int, code string) Call {
	c.Wants = []Want{Refusal(status, code)}
	return c
}

// HowText is How in a line.
func (c Call) HowText() string { return strings.Join(c.How, ", ") }

// Outcome checks what every answer owes, and says which one it is.
func (r Request) Outcome(a Answer) (Want, error) {
	if err := checkAnswer(r, a); err != nil {
		return Want{}, err
	}
	if a.Status < 400 || r.Method == http.MethodHead {
		return Want{Status: a.Status}, nil
	}
	p, err := ReadProblem(a)
	return Want{a.Status, p.Code}, err
}

// Judge checks an answer.
func (c Call) Judge(a Answer) error {
	got, err := c.Outcome(a)
	if err != nil {
		return err
	}
	if c.mayBeBehind() && got == (Want{http.StatusServiceUnavailable, "projection-behind"}) {
		return nil
	}
	if a.Status >= 500 {
		return fmt.Errorf("the answer is %v, a fault of the server", got)
	}
	right := func(w Want) bool { return w == got || w.Status == got.Status && c.Method == http.MethodHead }
	if len(c.Wants) > 0 && !slices.ContainsFunc(c.Wants, right) {
		return fmt.Errorf("the answer is %v, want %v", got, c.Wants)
	}
	if c.Done == nil {
		return nil
	}
	return c.Done(a)
}

// mayBeBehind reports whether 503 projection-behind is an answer in good order:
// to a read that has a token and did not say that it will wait.
func (c Call) mayBeBehind() bool {
	_, inHeader := c.Get("Consistency-Token")
	prefer, _ := c.Get("Prefer")
	return (inHeader || strings.Contains(c.Target, "consistency=")) && prefer != LongWait
}

// LongWait is the preference of reads that have to be answered.
const LongWait = "wait=10"

// Ack is the answer to a command that was accepted.
type Ack struct {
	Stream   string `json:"stream"`
	Version  int64  `json:"version"`
	Position int64  `json:"position"`
	// ID is in answers of the route of all commands.
	ID string `json:"id"`
	// Token is that of its header.
	Token string `json:"-"`
}

// ReadAck reads it, with what its headers have to say.
func ReadAck(a Answer) (k Ack, err error) {
	if err := DecodeStrictly(a.Body, &k); err != nil {
		return k, err
	}
	k.Token = a.Header.Get("Consistency-Token")
	switch {
	case k.Token == "":
		return k, errors.New("there is no Consistency-Token")
	case a.Header.Get("ETag") != fmt.Sprintf(`"%d"`, k.Version):
		return k, fmt.Errorf("the ETag is %s at version %d", a.Header.Get("ETag"), k.Version)
	case k.Position < 1:
		return k, fmt.Errorf("the position is %d", k.Position)
	}
	return k, nil
}
