package delivery

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestApplyIsIdempotent(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.app = "shop"
	if _, err := NewAdmin(b.db.Pool, b.db.Schema, b.store, "bank").Put(t.Context(), Definition{Name: "theirs", Target: TargetConfig{SQL: &SQLTarget{Function: "f"}}}, PutOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, declared := range []bool{false, true} { // a program takes on what an operator has made
		c, err := b.admin().Put(t.Context(), Definition{Name: "declared", Target: TargetConfig{SQL: &SQLTarget{Function: "f"}}}, PutOptions{Declared: declared})
		if err != nil || declared && c.Done != Unchanged {
			t.Fatal(c, err)
		}
	}
	apply := func(o ApplyOptions, names ...string) string {
		t.Helper()
		var members []string
		for _, name := range names {
			members = append(members, fmt.Sprintf(`{"name":%q,%s}`, name, toHandler))
		}
		all, err := ParseDefinitions([]byte(`{"subscriptions":[` + strings.Join(members, ",") + `]}`))
		if err != nil {
			t.Fatal(err)
		}
		changes, err := b.admin().Apply(t.Context(), all, o)
		if err != nil {
			return err.Error()
		}
		var done []string
		for _, c := range changes {
			done = append(done, c.Subscription+" "+string(c.Done))
		}
		return strings.Join(done, ", ")
	}
	for _, c := range []struct {
		o     ApplyOptions
		names []string
		want  string
	}{
		{ApplyOptions{DryRun: true}, []string{"a", "b"}, "a created, b created"},
		{ApplyOptions{}, []string{"a", "b"}, "a created, b created"},
		{ApplyOptions{}, []string{"a", "b"}, "a unchanged, b unchanged"},
		{ApplyOptions{}, []string{"b"}, "b unchanged"},
		{ApplyOptions{Prune: true, DryRun: true}, []string{"b"}, "b unchanged, a deleted"},
		{ApplyOptions{Prune: true}, []string{"b"}, "b unchanged, a deleted"},
		{ApplyOptions{Prune: true}, []string{"b"}, "b unchanged"},
	} {
		if got := apply(c.o, c.names...); got != c.want {
			t.Errorf("apply %v %+v: %s, want %s", c.names, c.o, got, c.want)
		}
	}
	// Before anything is changed all is looked at.
	b.exec(`INSERT INTO {schema}.subscription_parked (subscription, position, partition, key, state) VALUES ($1, 1, 0, 'k', 'dead')`, b.id("b"))
	if got := apply(ApplyOptions{Prune: true}, "c"); !strings.Contains(got, "dead letters") {
		t.Errorf("prune of what has dead letters: %s", got)
	}
	if _, err := b.admin().Get(t.Context(), "c"); !errors.Is(err, ErrNotFound) {
		t.Errorf("something was done beside what was refused: %v", err)
	}
	if got := apply(ApplyOptions{Prune: true, Force: true}, "c"); got != "c created, b deleted" {
		t.Errorf("forced: %s", got)
	}
	if all, err := b.admin().List(t.Context()); err != nil || len(all) != 2 || all[0].Name != "c" || all[1].Name != "declared" {
		t.Errorf("there are %d, %v", len(all), err)
	}
	b.app = ""
	if got := apply(ApplyOptions{Prune: true}, "c"); !strings.Contains(got, "needs the name of an app") {
		t.Errorf("prune for no app: %s", got)
	}
}

func TestMistakesInAFileAreNamed(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"subscriptions":[{"name":"a",` + toHandler + `},{"name":"a",` + toHandler + `}]}`: "/subscriptions/1/name must be another than that of /subscriptions/0",
		`{"subscriptions":[{"name":"a",` + toHandler + `},{"partitions":3}]}`:               "/subscriptions/1/partitions must be a power of two",
		`{"subscriptions":[],"x":1}`: "no other member",
		`{"subscriptions":7}`:        "/subscriptions ",
		`{"name":"a"}`:               "/target must have one of",
		``:                           "is not JSON",
	} {
		if _, err := ParseDefinitions([]byte(text)); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	if all, err := ParseDefinitions([]byte(`{"name":"a",` + toHandler + `}`)); err != nil || len(all) != 1 {
		t.Errorf("one alone: %v, %v", all, err)
	}
}

// What is parsed is printed as text that is parsed to the same; what is not is an *InvalidError. No text that was a
// secret's comes back.
func FuzzDefinition(f *testing.F) {
	f.Add(`{"name":"a",` + toHandler + `}`)
	f.Add(`{"name":"a","start":{"time":"2026-01-01T00:00:00Z"},"key":{"path":"/data/x"},"filter":{"type":["A"]},"target":{"http":{"url":"https://example.com","headers":{"X-A":"b","Authorization":{"env":"RECOUNT_SECRET_A"}},"auth":{"basic":{"user":"u","password":{"file":"/p"}}}}}}`)
	f.Add(`{"name":"a","batch":{"max_events":10,"wait":"1s"},"retry":{"factor":1.5,"cap":"2h"},"target":{"append":{"stream":"x-{id}"}},"bisect":false}`)
	f.Add(`{"name":"a","target":{"http":{"url":"https://example.com","auth":{"api_key":{"value":"in the open"}}}}}`)
	f.Add(`{"source":{"changes":{}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseDefinition([]byte(text), "")
		if err != nil {
			var invalid *InvalidError
			if !errors.As(err, &invalid) || len(invalid.Mistakes) == 0 || err.Error() == "" {
				t.Fatalf("error %v", err)
			}
			return
		}
		once, err := d.JSON()
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseDefinition(once, d.Name)
		if err != nil {
			t.Fatalf("%s is printed as %s, which is refused: %v", text, once, err)
		}
		if twice, err := again.JSON(); err != nil || string(twice) != string(once) {
			t.Fatalf("%s is printed as %s, and then as %s, %v", text, once, twice, err)
		}
		if h := d.Target.HTTP; h != nil && h.Auth != nil && h.Auth.APIKey != nil && h.Auth.APIKey.Value.Value != "" {
			t.Fatalf("a secret is given as text: %s", once)
		}
	})
}
