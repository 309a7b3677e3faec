package inbox

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hand hands a mail in as a session does.
func hand(t *testing.T, b *Inbox, id, text string) {
	t.Helper()
	s := &session{inbox: b}
	if err := s.Data(strings.NewReader("Message-ID: <" + id + ">\r\nSubject: mail " + id + "\r\n\r\n" + text)); err != nil {
		t.Fatal(err)
	}
}

func subjects(b *Inbox) (all []string) {
	for _, m := range b.Mails() {
		all = append(all, fmt.Sprintf("%s x%d", m.Subject, m.Copies))
	}
	return all
}

// TestTheLastMailsAreKept, in a bounded number of bytes, each once.
func TestTheLastMailsAreKept(t *testing.T) {
	t.Parallel()
	b, err := Start(Config{Mails: 3, Bytes: 1000})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for i := range 5 {
		hand(t, b, fmt.Sprint(i), "text")
	}
	hand(t, b, "3", "text")
	if got := fmt.Sprint(subjects(b)); got != "[mail 4 x1 mail 3 x2 mail 2 x1]" {
		t.Errorf("kept are %s", got)
	}
	hand(t, b, "5", strings.Repeat("x", 900))
	if got := fmt.Sprint(subjects(b)); got != "[mail 5 x1 mail 4 x1]" {
		t.Errorf("kept are %s, in 1000 bytes", got)
	}
	hand(t, b, "6", strings.Repeat("x", 2000))
	if got := fmt.Sprint(subjects(b)); got != "[]" {
		t.Errorf("kept are %s, in 1000 bytes", got)
	}
}

// TestMailsAreShown as JSON and as a page that runs nothing of them; all other paths are the next handler's.
func TestMailsAreShown(t *testing.T) {
	t.Parallel()
	b, err := Start(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	h := b.Around(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "next "+r.URL.Path) }))
	hand(t, b, "1", "<script>alert(1)</script>")
	for _, c := range []struct {
		method, path, accept string
		status               int
		has                  string
	}{
		{"GET", "/dev/inbox", "*/*", 200, `{"items":[{"id":"1","message_id":"<1>"`},
		{"GET", "/dev/inbox", "text/html,*/*;q=0.8", 200, `<a href="/dev/inbox/1">mail 1</a>`},
		{"GET", "/dev/inbox/1", "*/*", 200, `"text":"<script>alert(1)</script>"`},
		{"GET", "/dev/inbox/1", "text/html", 200, "<pre>&lt;script&gt;alert(1)&lt;/script&gt;</pre>"},
		{"GET", "/dev/inbox/2", "*/*", 404, "There is no such mail"},
		{"GET", "/dev/inbox/2", "text/html", 404, "There is no such mail"},
		{"DELETE", "/dev/inbox/1", "*/*", 405, ""},
		{"GET", "/dev//inbox", "*/*", 200, "next /dev//inbox"},
		{"POST", "/v1/orders", "*/*", 200, "next /v1/orders"},
	} {
		w, r := httptest.NewRecorder(), httptest.NewRequest(c.method, c.path, nil)
		r.Header.Set("Accept", c.accept)
		h.ServeHTTP(w, r)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.has) {
			t.Errorf("%s %s for %s = %d %s, want %d with %s", c.method, c.path, c.accept, w.Code, w.Body, c.status, c.has)
		}
	}
}
