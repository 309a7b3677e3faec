package client

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAnAnswerIsReadWhateverItSays(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Said", r.Method+" "+r.Header.Get("Content-Type")+" "+r.Header.Get("If-Match")+" "+string(body))
		w.WriteHeader(http.StatusConflict)
		_, _ = io.WriteString(w, "no")
	}))
	defer s.Close()
	a, err := Do(t.Context(), s.Client(), Request{Method: "POST", URL: s.URL, Header: http.Header{"If-Match": {`"1"`}}, Body: []byte("{}")})
	if err != nil || a.Status != http.StatusConflict || string(a.Body) != "no" || a.Header.Get("X-Said") != `POST application/json "1" {}` {
		t.Errorf("Do = %+v, %v", a, err)
	}
	if _, err := Get(t.Context(), s.Client(), s.URL); err == nil || !strings.Contains(err.Error(), "409 no") {
		t.Errorf("Get of what is not 200 = %v", err)
	}
}
