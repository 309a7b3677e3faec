package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	httpclient "github.com/57528e99/recount/httpapi/client"
	"github.com/57528e99/recount/internal/pgembed"
	"github.com/57528e99/recount/internal/pgtest"
)

// patience is how long tests wait for what should take a moment, on a machine that has much else to
// do.
const patience = 2 * time.Minute

// process is a recount that runs.
type process struct {
	cmd            *exec.Cmd
	stdout, stderr *transcript
	ended          chan struct{}
}

// startProcess starts the program. It is killed at the test's end if it still runs.
func startProcess(t *testing.T, args ...string) *process {
	t.Helper()
	return startProgram(t, "recount", args...)
}

// startProgram starts another build of the program.
func startProgram(t *testing.T, program string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(program, args...), stdout: newTranscript(), stderr: newTranscript(), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, p.stderr
	p.cmd.Env = cleanEnv()
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // the exit code is in its state
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.ended
		if t.Failed() {
			text, _ := p.stderr.read()
			t.Logf("recount %s said at last:\n%s", strings.Join(args, " "), lastOf(text))
		}
	})
	return p
}

// cleanEnv is the environment without what would configure the program.
func cleanEnv() []string {
	env := []string{pgembed.EnvBinDir + "=" + os.Getenv(pgembed.EnvBinDir)}
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "RECOUNT_") && !strings.HasPrefix(e, "DATABASE_URL=") && !strings.HasPrefix(e, "PORT=") {
			env = append(env, e)
		}
	}
	return env
}

func (p *process) await(t *testing.T, pattern string) []string {
	t.Helper()
	return p.stderr.await(t, pattern, p.ended)
}

func (p *process) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// exit waits for the end and returns the exit code.
func (p *process) exit(t *testing.T) int {
	t.Helper()
	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		t.Fatal("recount does not end")
		return 0
	}
}

// stopGently ends a server as a service manager does, and wants it to end well.
func (p *process) stopGently(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGTERM)
	if code := p.exit(t); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0", code)
	}
}

// startDev starts recount dev where PostgreSQL is installed, and waits until it is ready.
func startDev(t *testing.T, args ...string) (p *process, url string) {
	t.Helper()
	_, err := pgembed.FindBinaries(0)
	var none *pgembed.NoBinariesError
	if errors.As(err, &none) {
		t.Skipf("%v\n%s", err, none.Hint())
	}
	p = startProcess(t, append([]string{"dev", "--log-level", "info"}, args...)...)
	p.await(t, `Stop with Ctrl-C\.`)
	return p, p.await(t, `API +(http://\S+)`)[1]
}

// dataDir returns a directory for --data.
func dataDir(t *testing.T) string { return filepath.Dir(pgtest.DataDir(t)) }

// answer is an answer over HTTP.
type answer struct {
	status int
	header http.Header
	body   string
}

func call(t *testing.T, method, url, body string, header ...string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	h := make(http.Header)
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	got, err := askOnce(ctx, method, url, body, h)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// askOnce sends a request, with its body as JSON if there is one.
func askOnce(ctx context.Context, method, url, body string, header http.Header) (answer, error) {
	q := httpclient.Request{Method: method, URL: url, Header: header}
	if body != "" {
		q.Body = []byte(body)
	}
	a, err := httpclient.Do(ctx, http.DefaultClient, q)
	return answer{a.Status, a.Header, string(a.Body)}, err
}

// placeAndRead places an order on one server and reads it on another.
func placeAndRead(t *testing.T, place, read, id string) {
	t.Helper()
	body := `{"id":"` + id + `","country":"Norway","currency":"NOK","lines":[{"sku":"TEA","description":"","quantity":2,"unit_price_minor":450}]}`
	placed := call(t, "POST", place+"/v1/orders", body)
	if placed.status != http.StatusCreated {
		t.Fatalf("POST /v1/orders = %d %s, want 201", placed.status, placed.body)
	}
	got := call(t, "GET", read+"/v1/orders/"+id, "", "Consistency-Token", placed.header.Get("Consistency-Token"), "Prefer", "wait=10")
	if got.status != http.StatusOK || !strings.Contains(got.body, `"total_minor":900`) {
		t.Errorf("GET /v1/orders/%s = %d %s, want 200 and a total of 900", id, got.status, got.body)
	}
}

// holdRequest begins a request and does not finish it. It returns when the server works on it.
func holdRequest(t *testing.T, url string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.WriteString(conn, "POST /v1/orders HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	// The server asks for the body once it begins to read it.
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("the server answered %q, %v", line, err)
	}
	return conn
}

// awaitClosed waits until the server takes no more connections.
func awaitClosed(t *testing.T, url string) {
	t.Helper()
	until(t, "the server takes no more connections", func() bool {
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
}

// until waits for ok to become true.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	timeout := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
