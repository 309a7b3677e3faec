package apptest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/httpapi/openapi"
	"github.com/57528e99/recount/internal/rowmap"
	"github.com/57528e99/recount/projections"
)

// EnvUpdate is the environment variable with which Golden and OpenAPI write their files: any value but none.
const EnvUpdate = "UPDATE_GOLDEN"

// Golden compares all rows of a fold with those in testdata/NAME_vVERSION.golden, a line of JSON for
// each, so that a fold which makes other rows of the same events does not pass for the same version.
// The events should be the same each time, with times that are given rather than those of the clock.
func Golden[K comparable, R any](x *Test, f *projections.Fold[K, R]) {
	x.t.Helper()
	path := filepath.Join("testdata", fmt.Sprintf("%s_v%d.golden", f.Name(), f.Version()))
	got, err := linesOf(x, f)
	if err != nil {
		x.t.Fatal(err)
	}
	if want, ok := golden(x.t, path, got); ok && !bytes.Equal(got, want) {
		x.t.Errorf("%s: version %d has other rows than in %s:\n%s\nIf the fold has changed set its Version to %d, so that its "+
			"rows are built anew. Then, or if it is the test that has changed, write the file with %s=1 go test.",
			f.Name(), f.Version(), path, differences(string(want), string(got)), f.Version()+1, EnvUpdate)
	}
}

// golden returns what is in a file, which it writes first if it is told to; ok is false, and the test has failed,
// if there is none.
func golden(t testing.TB, path string, got []byte) (want []byte, ok bool) {
	t.Helper()
	if os.Getenv(EnvUpdate) != "" {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, got, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is no %s; write it with %s=1 go test, and commit it", path, EnvUpdate)
		return nil, false
	}
	if err != nil {
		t.Fatal(err)
	}
	return want, true
}

// OpenAPI compares the document of an App's API with the one in a file, such as testdata/openapi.json, and names
// each change that breaks clients. Those need a route, or a version of an event, beside the one that there is.
func OpenAPI(t testing.TB, a app.App, path string) {
	t.Helper()
	a.Version = "0" // that of a build is no part of the API
	got, err := a.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	want, ok := golden(t, path, got)
	if !ok || bytes.Equal(got, want) {
		return
	}
	broken, err := openapi.Breaking(want, got)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	for _, change := range broken {
		t.Errorf("%s: this breaks clients", change)
	}
	t.Errorf("%s is not what the API is now; write it with %s=1 go test, and commit it", path, EnvUpdate)
}

// linesOf returns the rows as JSON, in the order of their keys.
func linesOf[K comparable, R any](x *Test, f *projections.Fold[K, R]) ([]byte, error) {
	x.t.Helper()
	layout, err := f.Layout()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	for _, item := range Rows(x, f) {
		var members []string
		add := func(columns rowmap.Columns, v reflect.Value) {
			for _, c := range columns {
				text, failed := json.Marshal(c.Value(v))
				members = append(members, fmt.Sprintf("%q: %s", c.Name, text))
				err = errors.Join(err, failed)
			}
		}
		add(layout.Key, reflect.ValueOf(item.Key))
		add(layout.Row, reflect.ValueOf(item.Row))
		fmt.Fprintf(&b, "{%s}\n", strings.Join(members, ", "))
	}
	return b.Bytes(), err
}

// differences returns the lines of one text that the other lacks, behind - and +.
func differences(want, got string) string {
	var b strings.Builder
	without := func(sign, text, other string) {
		for line := range strings.Lines(text) {
			if !strings.Contains("\n"+other, "\n"+line) {
				b.WriteString(sign + line)
			}
		}
	}
	without("-", want, got)
	without("+", got, want)
	return strings.TrimSuffix(b.String(), "\n")
}
