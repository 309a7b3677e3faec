package webhook

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/targettest"
	"github.com/57528e99/recount/eventstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// receiver starts a server, and returns a target that sends to it.
func receiver(t testing.TB, c delivery.HTTPTarget, batch int, handle http.HandlerFunc) *Target {
	t.Helper()
	server := httptest.NewServer(handle)
	t.Cleanup(server.Close)
	c.URL = server.URL + "/events?v=1"
	return newTarget(t, c, batch, loopback)
}

func newTarget(t testing.TB, c delivery.HTTPTarget, batch int, allow []netip.Prefix) *Target {
	t.Helper()
	d := delivery.Definition{Name: "big-orders", Target: delivery.TargetConfig{HTTP: &c}, Batch: delivery.Batch{MaxEvents: batch}}
	target, err := New(d, allow)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(target.Close)
	return target
}

func TestTarget(t *testing.T) {
	for name, c := range map[string]struct {
		delivery.HTTPTarget
		batch int
	}{
		"event":              {delivery.HTTPTarget{}, 1},
		"events":             {delivery.HTTPTarget{}, 100},
		"cloudevents":        {delivery.HTTPTarget{Format: delivery.FormatCloudEvents}, 1},
		"cloudevents-batch":  {delivery.HTTPTarget{Format: delivery.FormatCloudEvents, Method: http.MethodPut}, 100},
		"cloudevents-binary": {delivery.HTTPTarget{Format: delivery.FormatCloudEventsBinary}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			targettest.Run(t, func(t *testing.T) *targettest.Fixture {
				f := &targettest.Fixture{
					Says:        []delivery.Outcome{delivery.Transient, delivery.PermanentFailure, delivery.ThrottledOutcome, delivery.GoneOutcome},
					SaysHowLong: true, SaysWhich: true, Marks: c.batch == 1,
				}
				if name == "cloudevents-binary" {
					f.MaxEvents = 1
				}
				f.Target = receiver(t, c.HTTPTarget, c.batch, func(w http.ResponseWriter, r *http.Request) {
					came, err := arrivals(r)
					if err != nil {
						t.Error(err)
					}
					respond(w, f.Receive(r.Context(), came))
				})
				return f
			})
		})
	}
}

// arrivals reads a request as a receiver does.
func arrivals(r *http.Request) (came []targettest.Arrival, err error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, nil // who sent it has gone
	}
	var events []json.RawMessage
	switch r.Header.Get("Content-Type") {
	case "application/json", "application/cloudevents+json":
		if events = append(events, body); r.Header.Get("Ce-Id") == "" && body[0] == '[' {
			err = json.Unmarshal(body, &events)
		}
	case "application/cloudevents-batch+json":
		err = json.Unmarshal(body, &events)
	}
	if err != nil {
		return nil, fmt.Errorf("the body is %.1000q: %w", body, err)
	}
	switch {
	case r.Header.Get("Ce-Id") != "":
		came = []targettest.Arrival{{MessageID: uuid.MustParse(r.Header.Get("Ce-Id")), Type: decoded(r.Header.Get("Ce-Type")), Data: body}}
	default:
		for _, text := range events {
			var e struct {
				ID         uuid.UUID       `json:"id"`
				MessageID  uuid.UUID       `json:"message_id"`
				Type       string          `json:"type"`
				Data       json.RawMessage `json:"data"`
				DataBase64 []byte          `json:"data_base64"`
			}
			if err := json.Unmarshal(text, &e); err != nil {
				return nil, fmt.Errorf("the event is %.1000q: %w", text, err)
			}
			a := targettest.Arrival{MessageID: e.MessageID, Type: e.Type, Data: slices.Concat(e.Data, e.DataBase64)}
			if strings.Contains(r.Header.Get("Content-Type"), "cloudevents") {
				a.MessageID = e.ID
			}
			came = append(came, a)
		}
	}
	if id := r.Header.Get("X-Event-ID"); id != "" {
		if id != came[0].MessageID.String() || r.Header.Get("Idempotency-Key") != strconv.Quote(id) {
			return nil, fmt.Errorf("the event %s has the headers %v", came[0].MessageID, r.Header)
		}
		a := &came[0]
		a.Subscription, a.Replay, a.Redrive = r.Header.Get("recount-subscription"), r.Header.Get("recount-replay"), r.Header.Get("recount-redrive") == "true"
		a.Position, _ = strconv.ParseInt(r.Header.Get("recount-position"), 10, 64)
		a.Epoch, _ = strconv.ParseInt(r.Header.Get("recount-epoch"), 10, 64)
		a.Attempt, _ = strconv.Atoi(r.Header.Get("X-Delivery-Attempt"))
	}
	return came, nil
}

func decoded(s string) string {
	text, err := url.PathUnescape(s)
	if err != nil {
		return err.Error()
	}
	return text
}

func respond(w http.ResponseWriter, a targettest.Answer) {
	if a.After > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(a.After/time.Second)))
	}
	switch a.Outcome {
	case delivery.Transient:
		w.WriteHeader(http.StatusInternalServerError)
	case delivery.PermanentFailure:
		w.WriteHeader(http.StatusUnprocessableEntity)
	case delivery.ThrottledOutcome:
		w.WriteHeader(http.StatusTooManyRequests)
	case delivery.GoneOutcome:
		w.WriteHeader(http.StatusGone)
	default:
		_ = json.NewEncoder(w).Encode(map[string]any{"failed": a.Failed})
	}
}

// event returns an event of the log.
func event(position int64, data string) delivery.Event {
	e := &eventstore.RecordedEvent{
		Event: eventstore.Event{
			ID: uuid.MustParse("0193aaaa-bbbb-7ccc-8ddd-eeeeffff0000"), Type: "OrderPlaced", SchemaVersion: 2, ContentType: "application/json",
			Data: []byte(data),
			Metadata: []byte(`{"correlation_id":"c-1","causation_id":"r-1","traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",` +
				`"tracestate":"a=1"}`),
		},
		Stream: fmt.Sprint("order-", position), Position: position, AppendEnd: position, RecordedAt: time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC),
	}
	return delivery.Event{RecordedEvent: e, MessageID: delivery.MessageID(uuid.Nil, e), Key: e.Stream, Attempt: 1}
}

func deliver(t testing.TB, target *Target, events ...delivery.Event) error {
	return target.Deliver(t.Context(), &delivery.Delivery{Subscription: "big-orders", Partition: 3, Epoch: 101, Events: events})
}

// TestRequest: what a receiver gets, as docs/targets.md has it.
func TestRequest(t *testing.T) {
	e := event(7, `{"n":1}`)
	id := e.MessageID.String()
	common := "Accept-Encoding: \nContent-Length: LENGTH\nContent-Type: TYPE\n"
	marks := "Recount-Epoch: 101\nRecount-Partition: 3\nRecount-Position: 7\nRecount-Subscription: big-orders\n"
	trace := "Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\nTracestate: a=1\n"
	rest := "User-Agent: recount\nX-Delivery-Attempt: 1\n"
	envelope := string(e.AppendJSON(nil))
	cloudEvent := `{"specversion":"1.0","id":"` + id + `","source":"/order","type":"OrderPlaced","subject":"order-7","time":"2026-01-02T15:04:05Z",` +
		`"sequence":"0000000000000000007","partitionkey":"order-7","eventid":"0193aaaa-bbbb-7ccc-8ddd-eeeeffff0000","streamversion":"0","schemaversion":"2",` +
		`"correlationid":"c-1","causationid":"r-1","traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","tracestate":"a=1",` +
		`"datacontenttype":"application/json","data":{"n":1}}`
	for _, c := range []struct {
		format      delivery.HTTPFormat
		batch       int
		contentType string
		headers     string
		body        string
	}{
		{delivery.FormatEvent, 1, "application/json", `Idempotency-Key: "` + id + "\"\n" + marks + trace + rest + "X-Event-Id: " + id + "\n", envelope},
		{delivery.FormatEvent, 10, "application/json", "Idempotency-Key: BATCH\n" + marks + rest, "[" + envelope + "]"},
		{delivery.FormatCloudEvents, 1, "application/cloudevents+json", `Idempotency-Key: "` + id + "\"\n" + marks + trace + rest + "X-Event-Id: " + id + "\n", cloudEvent},
		{delivery.FormatCloudEvents, 10, "application/cloudevents-batch+json", "Idempotency-Key: BATCH\n" + marks + rest, "[" + cloudEvent + "]"},
		{delivery.FormatCloudEventsBinary, 1, "application/json", "Ce-Causationid: r-1\nCe-Correlationid: c-1\nCe-Eventid: 0193aaaa-bbbb-7ccc-8ddd-eeeeffff0000\n" +
			"Ce-Id: " + id + "\nCe-Partitionkey: order-7\nCe-Schemaversion: 2\nCe-Sequence: 0000000000000000007\nCe-Source: /order\nCe-Specversion: 1.0\n" +
			"Ce-Streamversion: 0\nCe-Subject: order-7\nCe-Time: 2026-01-02T15:04:05Z\n" + "Ce-" + trace[:len(trace)-len("Tracestate: a=1\n")] +
			"Ce-Tracestate: a=1\nCe-Type: OrderPlaced\n" + `Idempotency-Key: "` + id + "\"\n" + marks + trace + rest + "X-Event-Id: " + id + "\n", `{"n":1}`},
		{delivery.FormatData, 1, "application/json", `Idempotency-Key: "` + id + "\"\n" + marks + trace + rest + "X-Event-Id: " + id + "\n", `{"n":1}`},
		{delivery.FormatData, 10, "application/json", "Idempotency-Key: BATCH\n" + marks + rest, `[{"n":1}]`},
	} {
		target := receiver(t, delivery.HTTPTarget{Format: c.format}, c.batch, func(_ http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if string(body) != c.body {
				t.Errorf("%s: the body is\n%s, want\n%s", c.format, body, c.body)
			}
			var lines []string
			for name, values := range r.Header {
				lines = append(lines, name+": "+strings.Join(values, ","))
			}
			slices.Sort(lines)
			got := strings.Join(lines, "\n") + "\n"
			want := strings.NewReplacer("LENGTH", strconv.Itoa(len(body)), "TYPE", c.contentType, "BATCH", r.Header.Get("Idempotency-Key")).
				Replace(strings.TrimPrefix(common, "Accept-Encoding: \n"))
			// In binary mode the attributes are among the headers.
			sorted := strings.Split(strings.TrimSuffix(want+strings.ReplaceAll(c.headers, "BATCH", r.Header.Get("Idempotency-Key")), "\n"), "\n")
			slices.Sort(sorted)
			if want = strings.Join(sorted, "\n") + "\n"; got != want {
				t.Errorf("%s: the headers are\n%s, want\n%s", c.format, got, want)
			}
			if r.Method != http.MethodPost || r.URL.String() != "/events?v=1" {
				t.Errorf("%s %s", r.Method, r.URL)
			}
		})
		if err := deliver(t, target, e); err != nil {
			t.Errorf("%s: %v", c.format, err)
		}
	}
}

// TestBodyIsTheSameInEachAttempt: or a receiver that compares what comes with an idempotency key would refuse it.
func TestBodyIsTheSameInEachAttempt(t *testing.T) {
	for _, batch := range []int{1, 10} {
		var keys, bodies []string
		target := receiver(t, delivery.HTTPTarget{}, batch, func(_ http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			keys, bodies = append(keys, r.Header.Get("Idempotency-Key")), append(bodies, string(body))
		})
		for attempt := range 3 {
			a, b := event(7, "1"), event(8, "2")
			a.Attempt, a.Redrive = attempt+1, attempt > 1
			events := []delivery.Event{a, b}
			if batch == 1 {
				events = events[:1]
			}
			d := &delivery.Delivery{Subscription: "big-orders", Epoch: int64(attempt), Replay: strings.Repeat("r", attempt), Events: events}
			if err := target.Deliver(t.Context(), d); err != nil {
				t.Fatal(err)
			}
		}
		if len(slices.Compact(keys)) != 1 || len(slices.Compact(bodies)) != 1 || len(keys[0]) != 38 {
			t.Errorf("the keys are %q, the bodies %q", keys, bodies)
		}
	}
}

// TestWildMetadata: anybody may write metadata, and nothing of it breaks a request.
func TestWildMetadata(t *testing.T) {
	for _, metadata := range []string{
		"", "null", "[]", "\x00", `{"traceparent":7}`, `{"traceparent":"00-x"}`, `{"traceparent":"a\r\nX-Injected: 1"}`,
		`{"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","tracestate":"a\r\nX-Injected: 1"}`,
		`{"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","tracestate":"` + strings.Repeat("x", 2<<20) + `"}`,
		`{"correlation_id":"` + strings.Repeat("x", 2<<20) + `"}`, `{"causation_id":"` + strings.Repeat("x", 2<<20) + `"}`,
	} {
		for _, format := range []delivery.HTTPFormat{delivery.FormatEvent, delivery.FormatCloudEvents, delivery.FormatCloudEventsBinary} {
			target := receiver(t, delivery.HTTPTarget{Format: format}, 1, func(_ http.ResponseWriter, r *http.Request) {
				if r.Header.Get("X-Injected") != "" || r.Header.Get("Tracestate") != "" {
					t.Errorf("the headers are %v", r.Header)
				}
			})
			e := event(7, "1")
			e.Metadata = []byte(metadata)
			if err := deliver(t, target, e); err != nil {
				t.Errorf("%q: %v", metadata, err)
			}
		}
	}
}

func TestTimeout(t *testing.T) {
	for what, handle := range map[string]http.HandlerFunc{
		"no answer": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"a body without an end": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "{")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
	} {
		target := receiver(t, delivery.HTTPTarget{Timeout: delivery.Duration(100 * time.Millisecond)}, 1, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // so that the server notices that the client goes
			handle(w, r)
		})
		err := deliver(t, target, event(7, "1"))
		if outcome, _ := delivery.OutcomeOf(err); outcome != delivery.Transient || !strings.Contains(err.Error(), "no complete answer within 100ms") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestBrokenConnection(t *testing.T) {
	target := receiver(t, delivery.HTTPTarget{}, 1, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	if outcome, _ := delivery.OutcomeOf(deliver(t, target, event(7, "1"))); outcome != delivery.Transient {
		t.Errorf("a connection that breaks: %s", outcome)
	}
}

// TestRateLimit: who would have to wait long is told to come back.
func TestRateLimit(t *testing.T) {
	requests := 0
	target := receiver(t, delivery.HTTPTarget{RateLimit: 0.001}, 1, func(http.ResponseWriter, *http.Request) { requests++ })
	if err := deliver(t, target, event(7, "1")); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		outcome, after := delivery.OutcomeOf(deliver(t, target, event(7, "1")))
		if outcome != delivery.ThrottledOutcome || after < 900*time.Second || after > 1000*time.Second {
			t.Errorf("the second request within a thousand seconds: %s, %s", outcome, after)
		}
	}
	if requests != 1 {
		t.Errorf("%d requests came", requests)
	}
}
