package httpapi_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/57528e99/recount/httpapi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newAPI(t *testing.T, c httpapi.Config) *httpapi.API {
	t.Helper()
	a, err := httpapi.New(c)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return a
}

func handlerOf(t *testing.T, a *httpapi.API) http.Handler {
	t.Helper()
	h, err := a.Handler()
	if err != nil {
		t.Fatalf("Handler: %v", err)
	}
	return h
}

// request builds a request; headers are "Name: value". A body gets the JSON
// content type unless a header says otherwise.
func request(method, target, body string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		if name == "Content-Type" {
			r.Header.Del(name)
		}
		r.Header.Add(name, value)
	}
	return r
}

func do(h http.Handler, method, target, body string, headers ...string) *http.Response {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, request(method, target, body, headers...))
	return w.Result()
}

func text(t *testing.T, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("read the answer: %v", err)
	}
	return string(b)
}

// problem is what a client sees of a problem.
type problem struct {
	Type, Title, Code, Detail, Hint, Instance string
	Status                                    int
	RequestID                                 string `json:"request_id"`
	TraceID                                   string `json:"trace_id"`
	Expected, Actual                          *int64
	Errors                                    []struct {
		Pointer           *string
		Parameter, Header string
		Detail            string
	}
}

// wantProblem checks that an answer is a well-formed problem of the given
// status and code.
func wantProblem(t *testing.T, resp *http.Response, status int, code string) problem {
	t.Helper()
	p := readProblem(t, resp)
	if resp.StatusCode != status || p.Code != code {
		t.Errorf("answer = %d %s (%s), want %d %s", resp.StatusCode, p.Code, p.Detail, status, code)
	}
	return p
}

// readProblem checks what holds for every problem.
func readProblem(t *testing.T, resp *http.Response) problem {
	t.Helper()
	body := text(t, resp)
	if got := resp.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Fatalf("answer %d has Content-Type %q and body %.200q, want a problem", resp.StatusCode, got, body)
	}
	var p problem
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		t.Fatalf("problem %q: %v", body, err)
	}
	if p.Status != resp.StatusCode {
		t.Errorf("problem has status %d, the answer %d", p.Status, resp.StatusCode)
	}
	if p.Type != "/problems/"+p.Code {
		t.Errorf("problem type = %q, code = %q", p.Type, p.Code)
	}
	if p.Title == "" || p.Detail == "" || p.Hint == "" || p.Instance == "" || p.RequestID == "" {
		t.Errorf("problem %s lacks something", body)
	}
	if p.RequestID != resp.Header.Get("X-Request-Id") && resp.Header.Get("Idempotency-Replayed") == "" {
		t.Errorf("problem has request_id %q, the header %q", p.RequestID, resp.Header.Get("X-Request-Id"))
	}
	return p
}
