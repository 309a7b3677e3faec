package cli

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestWhatDidNotArriveIsNotAccepted: the sender is told to send it again, or that nobody will take it.
func TestWhatDidNotArriveIsNotAccepted(t *testing.T) {
	t.Parallel()
	to := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/hooks" {
			t.Errorf("%s %s came, by a redirect", r.Method, r.URL)
		}
		http.Redirect(w, r, "/hooks/", http.StatusMovedPermanently)
	}))
	defer to.Close()
	ctx, cancel := context.WithCancel(t.Context())
	read, write := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- testProgram(write).Run(ctx, []string{"webhooks", "listen", "--listen", "127.0.0.1:0", "--forward", to.URL + "/hooks"})
	}()
	line := make([]byte, 100)
	n, err := read.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, read) }()
	url := strings.TrimPrefix(strings.TrimSpace(string(line[:n])), "listening on ")
	for _, c := range []struct {
		what string
		body io.Reader
		want int
	}{
		{"what is forwarded to a redirect", strings.NewReader(`{}`), http.StatusMovedPermanently},
		{"more than is read", io.LimitReader(zeros{}, webhookBodyLimit+1), http.StatusRequestEntityTooLarge},
	} {
		resp, err := http.DefaultTransport.RoundTrip(newRequest(t, url, c.body))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != c.want {
			t.Errorf("%s is answered %d, want %d", c.what, resp.StatusCode, c.want)
		}
	}
	cancel()
	<-ended
	_ = write.Close()
}

func newRequest(t *testing.T, url string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// zeros has no end.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}
