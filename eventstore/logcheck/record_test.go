package logcheck_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/logcheck"
)

// envHistory makes this program a client that records to a file for ever.
const envHistory = "VALIDATE_TEST_HISTORY"

func TestMain(m *testing.M) {
	if path := os.Getenv(envHistory); path != "" {
		if err := recordForEver(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// recordForEver records appends and says so, each after it was recorded.
func recordForEver(path string) error {
	r, err := logcheck.Create(path)
	if err != nil {
		return err
	}
	for n := int64(1); ; n++ {
		p := r.Begin(logcheck.Append{Client: "child", Stream: "a-1", IDs: []uuid.UUID{uuid.New()}})
		p.End(logcheck.Acked, n, n, 1)
		if _, err := fmt.Println(n); err != nil {
			return err
		}
	}
}

func TestWhatWasRecordedSurvivesAKill(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "history")
	said := 0
	for range 3 {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), envHistory+"="+path)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; n < 100 && lines.Scan(); n++ {
			said++
		}
		if err := child.Process.Kill(); err != nil {
			t.Error(err)
		}
		for lines.Scan() {
			said++
		}
		if err := child.Wait(); err == nil {
			t.Error("the child ended well, it was to be killed")
		}
	}
	h, err := logcheck.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	acked := 0
	operations := make(map[int64]bool)
	for _, a := range h.Appends {
		operations[a.Op] = true
		if a.Outcome == logcheck.Acked {
			acked++
		}
	}
	if said < 300 || acked < said || len(h.Appends) > acked+3 || len(operations) != len(h.Appends) {
		t.Errorf("%d of %d appends are acknowledged, with %d numbers; the clients said %d", acked, len(h.Appends), len(operations), said)
	}
}

func TestUnfinishedLines(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "history")
	record := func(stream string) {
		r, err := logcheck.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		r.Read(logcheck.Read{Stream: stream, Version: 1})
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	add := func(text string) {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.WriteString(text)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	record("a-1")
	add(`{"read":{"stream":"a-`)
	if h, err := logcheck.Load(path); err != nil || len(h.Reads) != 1 {
		t.Errorf("Load of an unfinished line = %+v, %v; want the read before it", h, err)
	}
	record("a-" + strings.Repeat("long", 1<<15))
	if h, err := logcheck.Load(path); err != nil || len(h.Reads) != 2 || len(h.Reads[1].Stream) != 2+4<<15 {
		t.Errorf("Load = %d reads, %v; want two", len(h.Reads), err)
	}
	for _, text := range []string{"{}\n", "no JSON\n", `{"end":{"op":77}}` + "\n"} {
		record("a-1")
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		add(text)
		if _, err := logcheck.Load(path); err == nil {
			t.Errorf("Load of %q: no error", text)
		}
		if err := os.Truncate(path, info.Size()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAnswersAreOutcomes(t *testing.T) {
	t.Parallel()
	conflict := &eventstore.ConflictError{Stream: "a-1", Actual: 7}
	for _, c := range []struct {
		err     error
		outcome logcheck.Outcome
		version int64
	}{
		{nil, logcheck.Acked, 3},
		{fmt.Errorf("append: %w", conflict), logcheck.Conflicted, 7},
		{eventstore.ErrOverloaded, logcheck.Refused, 3},
		{&eventstore.StreamDeletedError{Stream: "a-1"}, logcheck.Refused, 3},
		{eventstore.ErrOutcomeUnknown, logcheck.Unknown, 3},
		{errors.New("who knows"), logcheck.Unknown, 3},
		{errors.Join(eventstore.ErrUnavailable, eventstore.ErrOutcomeUnknown), logcheck.Unknown, 3},
	} {
		var r logcheck.Recorder
		p := r.Begin(logcheck.Append{Stream: "a-1"})
		p.Answer(eventstore.Appended{Version: 3, Position: 9}, c.err)
		if a := r.History().Appends[0]; a.Outcome != c.outcome || a.Version != c.version || (a.Position == 9) != (c.err == nil) {
			t.Errorf("%v is recorded as %+v, want %s and version %d", c.err, a, c.outcome, c.version)
		}
	}
}
