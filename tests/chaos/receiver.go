package chaos

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// receiver is where subscriptions send events to. It does everything that receivers do wrong, by its seed: some events
// it refuses for good, with others it fails now and then, in every way that there is. What it has acknowledged it
// acknowledges again, as receivers are to. When it is mended it takes everything.
type receiver struct {
	server   *http.Server
	listener net.Listener
	served   chan error

	mu     sync.Mutex
	rng    *rand.Rand
	down   int // how many faults keep it down
	mended bool
	acked  map[string]map[uuid.UUID]acked // by subscription and message id
	count  int
	// answers counts what it did, by what that was.
	answers map[string]int
}

// acked is the first time that an event was acknowledged.
type acked struct {
	Position int64
	Epoch    string
	Stream   string
	order    int
}

// sent is an event as it comes.
type sent struct {
	Position  int64     `json:"position"`
	Stream    string    `json:"stream"`
	MessageID uuid.UUID `json:"message_id"`
}

func startReceiver(seed uint64) (*receiver, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the receiver: %w", err)
	}
	v := &receiver{listener: listener, served: make(chan error, 1), rng: rand.New(rand.NewPCG(seed, 2)),
		acked: make(map[string]map[uuid.UUID]acked), answers: make(map[string]int)}
	v.server = &http.Server{Handler: http.HandlerFunc(v.receive), ReadHeaderTimeout: 10 * time.Second}
	go func() { v.served <- v.server.Serve(listener) }()
	return v, nil
}

func (v *receiver) close() error {
	err := v.server.Close()
	if served := <-v.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// url returns where a subscription sends to.
func (v *receiver) url(subscription string) string {
	return fmt.Sprintf("http://%s/%s", v.listener.Addr(), subscription)
}

// mend ends all that is wrong with it.
func (v *receiver) mend() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.mended, v.down = true, 0
}

// breakDown adds to the faults that keep it down, or takes from them.
func (v *receiver) breakDown(n int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.down = max(v.down+n, 0)
}

func (v *receiver) receive(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	if err != nil {
		return // the sender is gone
	}
	one, events := sent{}, []sent(nil)
	if strings.HasPrefix(string(body), "[") {
		err = json.Unmarshal(body, &events)
	} else {
		err = json.Unmarshal(body, &one)
		events = []sent{one}
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	of := strings.TrimPrefix(q.URL.Path, "/")
	answer := v.decide(of, q.Header.Get("Recount-Epoch"), events)
	answer.write(w, q)
}

// answer is what the receiver does with a request.
type answer struct {
	what   string
	status int
	header [2]string
	body   string
}

// Of a thousand requests so many are answered like that, the others well.
var mishaps = []struct {
	of int
	answer
}{
	{40, answer{what: "error", status: http.StatusInternalServerError, body: "it is broken\n"}},
	{20, answer{what: "unavailable", status: http.StatusServiceUnavailable}},
	{3, answer{what: "throttled", status: http.StatusTooManyRequests, header: [2]string{"Retry-After", "1"}}},
	{2, answer{what: "later", status: http.StatusServiceUnavailable, header: [2]string{"Retry-After", "1"}}},
	{10, answer{what: "nothing"}},
	{20, answer{what: "reset"}},
	{1, answer{what: "gone", status: http.StatusGone}},
}

// refusals are the answers to events that are refused for good, until the receiver is mended.
var refusals = []answer{
	{what: "refused", status: http.StatusUnprocessableEntity, body: `{"why":"poison"}`},
	{what: "not found", status: http.StatusNotFound},
	{what: "redirect", status: http.StatusFound, header: [2]string{"Location", "http://127.0.0.1:1/elsewhere"}},
	{what: "always an error", status: http.StatusBadGateway},
}

// refuses returns the answer to an event that is refused for good: one in fifty is.
func refuses(id uuid.UUID) *answer {
	if n := int(id[1])<<8 | int(id[2]); n < 1<<16/50 {
		return &refusals[n%len(refusals)]
	}
	return nil
}

// decide decides what to answer, and takes down what that acknowledges.
func (v *receiver) decide(of, epoch string, events []sent) (a answer) {
	v.mu.Lock()
	defer v.mu.Unlock()
	defer func() { v.answers[a.what]++ }()
	if v.acked[of] == nil {
		v.acked[of] = make(map[uuid.UUID]acked)
	}
	if v.down > 0 {
		return answer{what: "down", status: http.StatusServiceUnavailable}
	}
	if !v.mended && !v.hasAll(of, events) {
		draw := v.rng.IntN(1000)
		for _, m := range mishaps {
			if draw -= m.of; draw < 0 {
				return m.answer
			}
		}
	}
	a = answer{what: "taken", status: http.StatusOK}
	var failed []string
	held := make(map[string]bool) // what is behind one that failed counts as failed, unsaid
	for _, e := range events {
		switch bad := refuses(e.MessageID); {
		case v.has(of, e):
		case bad != nil && !v.mended && len(events) == 1:
			return *bad
		case bad != nil && !v.mended:
			held[e.Stream] = true
			failed = append(failed, fmt.Sprintf(`{"position":%d,"error":"%s","permanent":%t}`, e.Position, bad.what, bad.status < 500))
		case !held[e.Stream]:
			v.count++
			v.acked[of][e.MessageID] = acked{e.Position, epoch, e.Stream, v.count}
		}
	}
	if len(failed) > 0 {
		a.what, a.body = "taken in part", `{"failed":[`+strings.Join(failed, ",")+`]}`
		return a
	}
	if draw := v.rng.IntN(1000); !v.mended && draw < 30 {
		a.what, a.body = "slow", strings.Repeat("slow ", 200)
		if draw < 10 {
			a.what = "broken off"
		}
	}
	return a
}

func (v *receiver) has(of string, e sent) bool {
	_, ok := v.acked[of][e.MessageID]
	return ok
}

func (v *receiver) hasAll(of string, events []sent) bool {
	for _, e := range events {
		if !v.has(of, e) {
			return false
		}
	}
	return true
}

// write answers.
func (a answer) write(w http.ResponseWriter, q *http.Request) {
	switch a.what {
	case "nothing":
		<-q.Context().Done()
		return
	case "reset":
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			if tcp, ok := conn.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0) // it closes either way
			}
			_ = conn.Close()
		}
		return
	}
	if a.header[0] != "" {
		w.Header().Set(a.header[0], a.header[1])
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(a.body)))
	w.WriteHeader(a.status)
	parts := 1
	if a.what == "slow" || a.what == "broken off" {
		parts = 5
	}
	for i := range parts {
		part := a.body[len(a.body)*i/parts : len(a.body)*(i+1)/parts]
		if a.what == "broken off" && i == parts-1 {
			panic(http.ErrAbortHandler)
		}
		if _, err := io.WriteString(w, part); err != nil {
			return
		}
		if parts > 1 {
			_ = http.NewResponseController(w).Flush() // the sender may be gone
			time.Sleep(20 * time.Millisecond)
		}
	}
}
