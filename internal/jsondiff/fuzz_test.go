package jsondiff

import (
	"bytes"
	"encoding/json"
	"testing"
)

func FuzzOf(f *testing.F) {
	f.Add([]byte(`{"a":[1,2,{"b/~":null}],"c":1e2}`), []byte(`{"a":[1,{}],"d":9007199254740993}`))
	f.Add([]byte(`[]`), []byte(`{} x`))
	f.Add([]byte("\"\xff\""), []byte(`"\ud800"`))
	f.Fuzz(func(t *testing.T, before, after []byte) {
		found, err := Of(before, after)
		if valid := json.Valid(before) && json.Valid(after); (err == nil) != valid {
			t.Fatalf("Of(%q, %q) = %v, they are JSON: %v", before, after, err, valid)
		}
		if err != nil {
			return
		}
		seen := make(map[string]bool)
		for _, d := range found {
			if seen[d.Path] || d.Path != "" && d.Path[0] != '/' {
				t.Errorf("path %q of %v is there twice, or no pointer", d.Path, found)
			}
			seen[d.Path] = true
			if bytes.Equal(d.Before, d.After) {
				t.Errorf("%+v is no difference", d)
			}
		}
		back, err := Of(after, before)
		if err != nil || len(back) != len(found) {
			t.Fatalf("the other way around there are %d differences, not %d (%v)", len(back), len(found), err)
		}
		for i, d := range found {
			if o := back[i]; o.Path != d.Path || !bytes.Equal(o.Before, d.After) || !bytes.Equal(o.After, d.Before) {
				t.Errorf("the other way around %+v is %+v", d, o)
			}
		}
		if same, err := Of(before, before); err != nil || len(same) != 0 {
			t.Errorf("a document differs from itself in %v, %v", same, err)
		}
	})
}
