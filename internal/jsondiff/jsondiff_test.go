package jsondiff

import (
	"fmt"
	"strings"
	"testing"
)

func TestOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ before, after, want string }{
		{`{}`, `{}`, ``},
		{`{"a":1,"b":[1,{"c":null}]}`, `{"b":[1,{"c":null}],"a":1}`, ``},
		{`{"a":1}`, `{"a":2}`, `/a 1 2`},
		{`{"a":"<x>"}`, `{"a":"<y>"}`, `/a "<x>" "<y>"`},
		{`{"z":1,"b":1}`, `{"a":null,"b":1}`, `/a  null;/z 1 `},
		{`{"a":null}`, `{}`, `/a null `},
		{`{"l":[1,2,3]}`, `{"l":[1,4]}`, `/l/1 2 4;/l/2 3 `},
		{`{"l":[{"n":1,"p":9}]}`, `{"l":[{"n":2,"p":9},{"n":3}]}`, `/l/0/n 1 2;/l/1  {"n":3}`},
		{`{"a":{"b":1}}`, `{"a":[1]}`, `/a {"b":1} [1]`},
		{`{"a":1}`, `{"a":{}}`, `/a 1 {}`},
		{`{"a":[]}`, `{"a":1}`, `/a [] 1`},
		{`{"a/b~c":1}`, `{}`, `/a~1b~0c 1 `},
		{`1`, `"1"`, ` 1 "1"`},
		{`[100,0.10,-0,1e400000,12e-1]`, `[1e2,1e-1,0.0,1E+400000,1.2]`, ``},
		{`[100,0.1,1]`, `[10,0.01,-1]`, `/0 100 10;/1 0.1 0.01;/2 1 -1`},
		{`0.1000000000000000055`, `0.1`, ` 0.1000000000000000055 0.1`},
		{`9007199254740993`, `9007199254740992`, ` 9007199254740993 9007199254740992`},
	} {
		found, err := Of([]byte(c.before), []byte(c.after))
		if err != nil {
			t.Fatalf("Of(%s, %s): %v", c.before, c.after, err)
		}
		var got []string
		for _, d := range found {
			got = append(got, fmt.Sprintf("%s %s %s", d.Path, d.Before, d.After))
		}
		if strings.Join(got, ";") != c.want {
			t.Errorf("Of(%s, %s) = %s, want %s", c.before, c.after, strings.Join(got, ";"), c.want)
		}
	}
	for _, c := range [][2]string{{`{`, `{}`}, {`{}`, ``}} {
		if _, err := Of([]byte(c[0]), []byte(c[1])); err == nil {
			t.Errorf("Of(%q, %q) is no error", c[0], c[1])
		}
	}
}
