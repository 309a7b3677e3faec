package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Request asks a program that knows peers to compare with them: the libraries that it takes for
// that are none that this module requires.
type Request struct {
	Options Options
	Compare Compare
	// Peers are the names of the peers to compare with. Default: all that the program knows.
	Peers []string
}

// Answer is what came of a Request. It has a report or an error.
type Answer struct {
	Report *Report
	Error  string
	// Invalid says that it is the request that is wrong.
	Invalid bool
}

// Result returns the report or the error.
func (a Answer) Result() (Report, error) {
	switch {
	case a.Report != nil:
		return *a.Report, nil
	case a.Invalid:
		return Report{}, invalid("%s", strings.TrimPrefix(a.Error, ErrInvalid.Error()+": "))
	}
	return Report{}, errors.New(a.Error)
}

// Serve reads a request as JSON, does it with the peers that it knows, and writes the answer.
func Serve(ctx context.Context, from io.Reader, to io.Writer, progress func(string), version string, known []Peer) error {
	var q Request
	if err := json.NewDecoder(from).Decode(&q); err != nil {
		return fmt.Errorf("read what to measure: %w", err)
	}
	q.Options.Progress, q.Options.Version = progress, version
	var answer Answer
	peers, err := choose(known, q.Peers)
	if err == nil {
		q.Compare.Peers = peers
		var report Report
		if report, err = Run(ctx, q.Options, q.Compare); err == nil {
			answer.Report = &report
		}
	}
	if err != nil {
		answer.Error, answer.Invalid = err.Error(), errors.Is(err, ErrInvalid)
	}
	return json.NewEncoder(to).Encode(answer)
}

// choose returns the peers with the names, in the order in which they are known.
func choose(known []Peer, names []string) (chosen []Peer, _ error) {
	if len(names) == 0 {
		return known, nil
	}
	wanted := make(map[string]bool)
	for _, name := range names {
		wanted[name] = true
	}
	all := make([]string, len(known))
	for i, p := range known {
		all[i] = p.Name
		if wanted[p.Name] {
			chosen = append(chosen, p)
			delete(wanted, p.Name)
		}
	}
	for name := range wanted {
		return nil, invalid("there is no peer %q, there are %s", name, strings.Join(all, ", "))
	}
	return chosen, nil
}
