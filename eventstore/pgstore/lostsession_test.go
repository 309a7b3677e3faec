package pgstore_test

import (
	"sync"
	"testing"

	"github.com/57528e99/recount/eventstore"
)

// Reads change nothing, so one whose session was ended is tried again.
func TestReadsGoOnAfterTheEndOfTheirSessions(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	s := open(t, db)
	mustAppend(t, s, happened("lost-1", 3))
	killer := db.Connect(t)
	reads := map[string]func() error{
		"head": func() error { _, err := s.Head(t.Context()); return err },
		"stream": func() error {
			for _, err := range s.ReadStream(t.Context(), "lost-1", eventstore.ReadOptions{}) {
				if err != nil {
					return err
				}
			}
			return nil
		},
		"log": func() error {
			for _, err := range s.ReadAll(t.Context(), eventstore.ReadOptions{}) {
				if err != nil {
					return err
				}
			}
			return nil
		},
		"info": func() error { _, err := s.StreamInfo(t.Context(), "lost-1"); return err },
	}
	for name, read := range reads {
		// All of the pool's sessions are in use, and so trusted, when they end.
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() { _, _ = db.Pool.Exec(t.Context(), "SELECT pg_sleep(0.01)") })
		}
		group.Wait()
		const end = `SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`
		if _, err := killer.Exec(t.Context(), end); err != nil {
			t.Fatal(err)
		}
		if err := read(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
