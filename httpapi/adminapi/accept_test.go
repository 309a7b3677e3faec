package adminapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/webhook"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/memstore"
	"github.com/57528e99/recount/httpapi"
)

// site is a log that takes what others forward, by the token "token of NAME".
type site struct {
	*memstore.Store
	id  uuid.UUID
	url string
	// fails is what an append ends with, if it is not nil.
	fails error
}

func (s *site) Append(ctx context.Context, a eventstore.StreamAppend, o eventstore.AppendOptions) (eventstore.Appended, error) {
	if s.fails != nil {
		return eventstore.Appended{}, s.fails
	}
	return s.Store.Append(ctx, a, o)
}

// add appends an event to a stream.
func (s *site) add(t *testing.T, stream string, e eventstore.Event) {
	t.Helper()
	if _, err := s.Append(t.Context(), eventstore.StreamAppend{Stream: stream, Expected: eventstore.Any, Events: []eventstore.Event{e}}, eventstore.AppendOptions{}); err != nil {
		t.Fatal(err)
	}
}

// tokensOf returns secrets with the tokens of sites.
func tokensOf(t *testing.T, names ...string) map[string]delivery.Secret {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("RECOUNT_SECRETS_DIR", dir)
	tokens := make(map[string]delivery.Secret)
	for _, name := range names {
		tokens[name] = delivery.Secret{File: filepath.Join(dir, name)}
		if err := os.WriteFile(tokens[name].File, []byte("token of "+name+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return tokens
}

func newSite(t *testing.T, grants ...delivery.Grant) *site {
	t.Helper()
	s := &site{Store: memstore.New(memstore.Config{})}
	at, err := s.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.id = at.Log
	acceptor, err := delivery.NewAcceptor(s, grants...)
	if err != nil {
		t.Fatal(err)
	}
	api, err := httpapi.New(httpapi.Config{})
	if err != nil {
		t.Fatal(err)
	}
	RegisterAccept(api, acceptor)
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// forward sends all that a site has to another one, in one request.
func (s *site) forward(t *testing.T, to *site, token delivery.Secret) error {
	t.Helper()
	target, err := webhook.NewForwarding(delivery.Definition{
		Name: "forward", Batch: delivery.Batch{MaxEvents: 100}, Target: delivery.TargetConfig{Recount: &delivery.RecountTarget{URL: to.url, Token: token}},
	}, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, s.id)
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	d := &delivery.Delivery{Subscription: "forward"}
	for e, err := range s.ReadAll(t.Context(), eventstore.ReadOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		d.Events = append(d.Events, delivery.Event{RecordedEvent: &e, MessageID: delivery.MessageID(s.id, &e), Attempt: 1})
	}
	return target.Deliver(t.Context(), d)
}

func (s *site) all(t *testing.T) (all []eventstore.RecordedEvent) {
	t.Helper()
	for e, err := range s.ReadAll(context.WithoutCancel(t.Context()), eventstore.ReadOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// TestForwarding: what one log forwards is in the other once, as it was and in its order, if it may be; what comes back is dropped.
func TestForwarding(t *testing.T) {
	tokens := tokensOf(t, "a", "b", "nobody")
	filter := json.RawMessage(`{"type":["Sold","Returned"],"stream":[{"anything-but":{"prefix":"secret-"}}]}`)
	a := newSite(t, delivery.Grant{Name: "b", Token: tokens["b"], Filter: filter})
	b := newSite(t, delivery.Grant{Name: "a", Token: tokens["a"], Filter: filter, Prefix: "a."})
	for n, e := range []struct{ stream, kind, data, metadata string }{
		{"till-1", "Sold", `{"n": 1}`, `{"actor":"ann"}`}, {"till-2", "Sold", "\x00no json", "no json"}, {"till-1", "Returned", `{"n": 2}`, ``},
		{"secret-1", "Sold", `{}`, ``}, {"till-2", "Counted", `{}`, ``}, {"till-2", "Sold", `{}`, ``},
	} {
		a.add(t, e.stream, eventstore.Event{ID: uuid.UUID{byte(n + 1)}, Type: e.kind, SchemaVersion: 2, Data: []byte(e.data), Metadata: []byte(e.metadata)})
	}
	var answered *delivery.ResponseError
	if err := a.forward(t, b, tokens["nobody"]); !errors.As(err, &answered) || answered.Status != 401 || len(b.all(t)) > 0 {
		t.Fatalf("with a token that nobody has it is %v, want 401", err)
	}
	for range 2 { // the answer of the first may be lost
		var partial *delivery.PartialError
		err := a.forward(t, b, tokens["a"])
		if !errors.As(err, &partial) || len(partial.Failed) != 3 {
			t.Fatalf("forwarding ends with %v, want that three events fail", err)
		}
		for i, want := range map[int]delivery.Outcome{3: delivery.PermanentFailure, 4: delivery.PermanentFailure, 5: delivery.Transient} {
			if outcome, _ := delivery.OutcomeOf(partial.Failed[i]); outcome != want {
				t.Errorf("event %d is %v (%v), want %v", i, outcome, partial.Failed[i], want)
			}
		}
	}
	var got []string
	from := a.all(t)
	for i, e := range b.all(t) {
		got = append(got, e.Stream)
		if is := from[i]; e.ID != is.ID || e.Type != is.Type || e.SchemaVersion != is.SchemaVersion || string(e.Data) != string(is.Data) {
			t.Errorf("%+v came as %+v", is.Event, e.Event)
		}
		want := fmt.Sprintf(`"recount_origin":{"log":"%s","stream":"%s","position":%d,"recorded_at":`, a.id, from[i].Stream, from[i].Position)
		if !strings.Contains(string(e.Metadata), want) {
			t.Errorf("its metadata are %s, want %s", e.Metadata, want)
		}
	}
	if want := "a.till-1 a.till-2 a.till-1"; strings.Join(got, " ") != want {
		t.Errorf("they are in %q, want %s", got, want)
	}
	if err := b.forward(t, a, tokens["b"]); err != nil || len(a.all(t)) != len(from) {
		t.Errorf("back it ends with %v and %d events, want that all %d are dropped", err, len(a.all(t)), len(from))
	}
}

// TestForwardingToALogThatCannotAppend: no event is charged, and nobody is told of its database. What comes later is taken, although data were erased since.
func TestForwardingToALogThatCannotAppend(t *testing.T) {
	tokens := tokensOf(t, "a")
	a, b := newSite(t), newSite(t, delivery.Grant{Name: "a", Token: tokens["a"], Filter: json.RawMessage(`{"type":["Sold"]}`)})
	for n := range byte(3) {
		a.add(t, "till-1", eventstore.Event{ID: uuid.UUID{n + 1}, Type: "Sold", Data: []byte(`{}`)})
	}
	for _, b.fails = range []error{eventstore.ErrOverloaded, eventstore.ErrReadOnly, eventstore.ErrUnavailable} {
		b.fails = fmt.Errorf("host=secret: %w", b.fails)
		err := a.forward(t, b, tokens["a"])
		var answered *delivery.ResponseError
		outcome, _ := delivery.OutcomeOf(err)
		if !errors.As(err, &answered) || outcome != delivery.ThrottledOutcome || answered.Status != 503 || strings.Contains(answered.Answer, "secret") {
			t.Errorf("if it ends with %v it is %v, %v", b.fails, outcome, err)
		}
	}
	b.fails = nil
	b.add(t, "till-1", eventstore.Event{ID: uuid.UUID{1}, Type: "Sold", Data: []byte(`{"before":"it was erased"}`)})
	if err := a.forward(t, b, tokens["a"]); err != nil || len(b.all(t)) != 3 {
		t.Errorf("later it ends with %v and %d events, want 3", err, len(b.all(t)))
	}
}

// TestForwardingOfWhatWasMadeOfIt: an event that is made of a forwarded one is new to the log that this came from.
func TestForwardingOfWhatWasMadeOfIt(t *testing.T) {
	tokens := tokensOf(t, "a", "b")
	a := newSite(t, delivery.Grant{Name: "b", Token: tokens["b"], Filter: json.RawMessage(`{"type":["Sold","Booked"]}`)})
	b := newSite(t, delivery.Grant{Name: "a", Token: tokens["a"], Filter: json.RawMessage(`{"type":["Sold"]}`)})
	a.add(t, "till-1", eventstore.Event{ID: uuid.UUID{1}, Type: "Sold", Data: []byte(`{}`)})
	if err := a.forward(t, b, tokens["a"]); err != nil {
		t.Fatal(err)
	}
	target, err := delivery.NewAppendTarget(delivery.AppendTarget{Stream: "book-1", Type: "Booked"}, b)
	if err != nil {
		t.Fatal(err)
	}
	sold := b.all(t)[0]
	event := delivery.Event{RecordedEvent: &sold, MessageID: delivery.MessageID(b.id, &sold), Attempt: 1}
	if err := target.Deliver(t.Context(), &delivery.Delivery{Subscription: "book", Events: []delivery.Event{event}}); err != nil {
		t.Fatal(err)
	}
	if err := b.forward(t, a, tokens["b"]); err != nil {
		t.Fatal(err)
	}
	if all := a.all(t); len(all) != 2 || all[1].Type != "Booked" {
		t.Errorf("the first log has %+v, want what was sold and booked", all)
	}
}

func TestAcceptByOneTokenForTwo(t *testing.T) {
	tokens := tokensOf(t, "a", "b")
	grant := func(token delivery.Secret) delivery.Grant {
		return delivery.Grant{Name: "a", Token: token, Filter: json.RawMessage(`{"type":["Sold"]}`)}
	}
	absent := grant(delivery.Secret{File: tokens["a"].File + "-absent"})
	if _, err := delivery.NewAcceptor(nil, grant(tokens["a"]), absent, grant(tokens["b"]), absent); err != nil {
		t.Errorf("tokens that differ or cannot be read: %v", err)
	}
	if _, err := delivery.NewAcceptor(nil, grant(tokens["a"]), grant(tokens["b"]), grant(tokens["a"])); err == nil || !strings.Contains(err.Error(), "accept[2]") {
		t.Errorf("one token for two: %v", err)
	}
}
