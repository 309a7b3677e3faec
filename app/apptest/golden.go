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

	"github.com/57528e99/recount/internal/rowmap"
	"github.com/57528e99/recount/projections"
)

// EnvUpdate is the environment variable with which Golden writes its files: any value but none.
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
	if os.Getenv(EnvUpdate) != "" {
		if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(path, got, 0o644)); err != nil {
			x.t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		x.t.Errorf("%s: there is no %s; write it with %s=1 go test, and commit it", f.Name(), path, EnvUpdate)
		return
	}
	if err != nil {
		x.t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		x.t.Errorf("%s: version %d has other rows than in %s:\n%s\nIf the fold has changed set its Version to %d, so that its "+
			"rows are built anew. Then, or if it is the test that has changed, write the file with %s=1 go test.",
			f.Name(), f.Version(), path, differences(string(want), string(got)), f.Version()+1, EnvUpdate)
	}
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
