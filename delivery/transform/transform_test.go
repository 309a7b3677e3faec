package transform

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/recolabs/gnata"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const order = `{"position":7,"stream":"order-1","type":"OrderPlaced","data":{"id":"1\n","total":12345678901234567890,"ratio":0.50,"e-mail":"a@b","note":null,
	"lines":[{"sku":"TEA","quantity":2,"price":450},{"sku":"CUP","quantity":1,"price":900}],"tags":[]}}`

func compile(t testing.TB, text string) (*Transform, error) {
	var c Config
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return Compile(c)
}

func TestApply(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		transform string
		want      []string
	}{
		{`{"inputs":{"id":"$.data.id","n":"$.data.total"},"template":{"order":"<id>","n":"<n>","text":"Order <id>: <n>, <b>"}}`,
			[]string{`{"order":"1\n","n":12345678901234567890,"text":"Order 1\n: 12345678901234567890, <b>"}`}},
		{`{"inputs":{"e":"$"},"template":"<e>"}`, []string{order}},
		{`{"inputs":{"s":"$.data.lines[1].sku","m":"$['data'][\"e-mail\"]","r":"$.data.ratio"},"template":["<s>","<m>","<r>",{"a":[1, true]}]}`, []string{`["CUP","a@b",0.50,{"a":[1,true]}]`}},
		{`{"inputs":{"l":"$.data.lines[0]"},"template":{"text":"l: <l>"}}`, []string{`{"text":"l: {\"sku\":\"TEA\",\"quantity\":2,\"price\":450}"}`}},
		// What is not there is left out, what is null is there.
		{`{"inputs":{"x":"$.data.x","y":"$.data.lines[2].sku","z":"$.data.id.x","n":"$.data.note"},"template":{"x":"<x>","all":["<y>","<z>"],"t":"[<x>]","n":"<n>"}}`,
			[]string{`{"all":[],"t":"[]","n":null}`}},
		{`{"inputs":{"x":"$.data.x"},"template":"<x>"}`, nil},
		{`{"inputs":{"l":"$.data.lines"},"template":["<l>"]}`, []string{`[[{"sku":"TEA","quantity":2,"price":450},{"sku":"CUP","quantity":1,"price":900}]]`}},
		{`{"inputs":{"id":"$.data.id","x":"$.x"},"each":true,"template":[{"a":"<id>"},"<x>", 7]}`, []string{`{"a":"1\n"}`, `7`}},

		{`{"jsonata":"{'order': data.id, 'total': $sum(data.lines.(quantity * price)), 'n': data.total, 'r': data.ratio, 'note': data.note, 'none': data.x}"}`,
			[]string{`{"order":"1\n","total":1800,"n":12345678901234567890,"r":0.50,"note":null}`}},
		{`{"jsonata":"data.lines.{'sku': sku}"}`, []string{`[{"sku":"TEA"},{"sku":"CUP"}]`}},
		{`{"jsonata":"data.lines.{'sku': sku}","each":true}`, []string{`{"sku":"TEA"}`, `{"sku":"CUP"}`}},
		{`{"jsonata":"data.lines[sku='CUP'].sku","each":true}`, []string{`"CUP"`}},
		{`{"jsonata":"data[total > 100].{'id': id}"}`, []string{`{"id":"1\n"}`}},
		{`{"jsonata":"data[total < 100].{'id': id}"}`, nil},
		{`{"jsonata":"data.tags","each":true}`, nil},
		{`{"jsonata":"data.note"}`, []string{`null`}},
		{`{"jsonata":"data.ratio / 3"}`, []string{`0.16666666666666666`}},
		{`{"jsonata":"$merge([data, {'x': 1}]).x"}`, []string{`1`}},
	} {
		tr, err := compile(t, c.transform)
		if err != nil {
			t.Errorf("%s: %v", c.transform, err)
			continue
		}
		got, err := tr.Apply([]byte(order))
		if err != nil || len(got) != len(c.want) {
			t.Errorf("%s yields %q, %v, want %q", c.transform, got, err, c.want)
			continue
		}
		for i := range got {
			if string(got[i]) != c.want[i] {
				t.Errorf("%s yields\n%s, want\n%s", c.transform, got[i], c.want[i])
			}
		}
	}
}

func TestCompileSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ transform, pointer, reason string }{
		{`{}`, "", `must have "jsonata", or "template"`},
		{`{"jsonata":"a","template":1}`, "/jsonata", "beside a template"},
		{`{"jsonata":"data.("}`, "/jsonata", ""},
		{`{"jsonata":"$eval(data.x)"}`, "/jsonata", "must not have $eval"},
		{`{"jsonata":"$map(data.x, $eval)"}`, "/jsonata", "must not have $eval"},
		{`{"jsonata":"` + strings.Repeat("(", 1001) + `"}`, "/jsonata", "at most 1000 of ( [ { and -"},
		{`{"template":{"a":"<id>"}}`, "/template", `there is no input "id"`},
		{`{"inputs":{"id":"$.data.id"},"template":{"a":"id"}}`, "/inputs/id", "<id> is nowhere"},
		{`{"inputs":{"i d":"$.data.id"},"template":1}`, "/inputs/i d", "letters"},
		{`{"inputs":{"id":"data.id"},"template":"<id>"}`, "/inputs/id", "begins with $"},
		{`{"inputs":{"id":"$.data..id"},"template":"<id>"}`, "/inputs/id", `there is "..id"`},
		{`{"inputs":{"id":"$.data[*]"},"template":"<id>"}`, "/inputs/id", `there is "[*]"`},
		{`{"template":{"a":1},"each":true}`, "/template", "must be an array"},
		{`{"jsonata":"data.a + 1","sample":{"data":{"a":"x"}}}`, "/sample", `transform "data.a + 1": T2001`},
		{`{"jsonata":"data","sample":[]}`, "/sample", "a JSON object"},
	} {
		_, err := compile(t, c.transform)
		var known *Error
		if !errors.As(err, &known) || known.Pointer != c.pointer || !strings.Contains(known.Reason, c.reason) {
			t.Errorf("%s: %v, want %s: …%s", c.transform, err, c.pointer, c.reason)
		}
	}
}

// TestApplyIsBounded: what would take for ever, or all memory, fails and says why.
func TestApplyIsBounded(t *testing.T) {
	t.Parallel()
	for jsonata, reason := range map[string]string{
		`($f := function($n) { $n = 0 ? 0 : $f($n + 1) }; $f(1))`:                                                         "took longer than 1s",
		`($a := 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'; ` + strings.Repeat(`$a := $a & $a; `, 40) + `$length($a))`: "took lon", // and memory, or longer than 1s on a machine that is slow
		`($a := $pad('', 10000, 'a'); [1..1000].($a))`:                                                                    "yields more than 4194304 bytes",
		// In one step, in which nobody is asked.
		`($a := $replace($pad('', 10000, 'a'), 'a', $pad('', 100, 'a')); $b := $replace($a, 'a', $a); $b)`:                 "$replace may yield",
		`$replace($pad('', 10000, 'a'), /a/, $pad('', 10000, 'a'))`:                                                        "$replace may yield",
		`($a := $pad('', 10000, 'a'); $join([1..1000].($a)))`:                                                              "$join gets more",
		`$join([1..1000].('a'), $pad('', 10000, 'a'))`:                                                                     "$join may yield",
		`($f := function($n, $a) { $n = 0 ? $a : $f($n - 1, {'x': $a, 'y': $a}) }; $string($f(60, $pad('', 10000, 'a'))))`: "$string gets more",
		`($f := function($n, $a) { $n = 0 ? $a : $f($n - 1, {'x': $a, 'y': $a}) }; $f(60, $pad('', 10000, 'a')))`:          "yields more than 4194304 bytes",
		`($f := function($n, $a) { $n = 0 ? $a : $f($n - 1, {'x': $a}) }; $string($f(1000, 1)))`:                           "more than 128 levels",
		`($a := $replace($pad('', 10000, 'a'), 'a', 'aaaaaaaaaa'); $match($a, /a/))`:                                       "in 100000 bytes",
		`$reduce([1..30], function($a, $n) { $append($a, $a) }, [1])`:                                                      "$append may yield",
		`[1..1001]`:            "yields 1001 bodies",
		`function($x) { $x }`:  "yields a function",
		`$error('no ' & type)`: "no OrderPlaced",
	} {
		text, _ := json.Marshal(Config{JSONata: jsonata, Each: true})
		tr, err := compile(t, string(text))
		if err != nil {
			t.Fatal(err)
		}
		got, err := tr.Apply([]byte(order))
		var failed *FailedError
		if !errors.As(err, &failed) || !strings.Contains(failed.Reason, reason) || !strings.HasPrefix(failed.Expression, `"`+jsonata[:8]) {
			t.Errorf("%.60s yields %d bodies, %v, want an error that says %q", jsonata, len(got), err, reason)
		}
	}
}

// TestATemplateStopsWhenItIsTooLarge: an input that is there ten thousand times costs no more memory than what may become of an event.
func TestATemplateStopsWhenItIsTooLarge(t *testing.T) {
	t.Parallel()
	event := []byte(`{"a":"` + strings.Repeat("x", 1<<20) + `"}`)
	for _, template := range []string{
		`"` + strings.Repeat("<a>.", 10000) + `"`, `["<a>"` + strings.Repeat(`,"<a>"`, 10000) + `]`, `{"x":["<a>","<a>.<a>"],"y":"<a>","z":"<a>"}`,
	} {
		tr, err := Compile(Config{Inputs: map[string]string{"a": "$.a"}, Template: jsontext.Value(template)})
		if err != nil {
			t.Fatal(err)
		}
		body, _, _ := tr.apply(event)
		if _, err = tr.Apply(event); err == nil || !strings.Contains(err.Error(), "more than 4194304 bytes") || len(body) > 2*MaxSize {
			t.Errorf("%.20s: %v, and %d bytes are made", template, err, len(body))
		}
	}
}

// FuzzTemplate: what a template yields is JSON, and an input is what there is at its path.
func FuzzTemplate(f *testing.F) {
	f.Add(order, "$.data.lines[0].sku", `{"a":["<i>","x <i> y"],"b":"<i>"}`)
	f.Add(`{"a":{"b":1},"a\u0062":{"b":"\"\u0041"},"ab":[[1],[2,{"é":3}]]}`, `$['ab'][1][1]["é"]`, `["<i>"]`)
	f.Fuzz(func(t *testing.T, event, path, template string) {
		if kind := jsontext.Value(event).Kind(); kind != '{' || !jsontext.Value(event).IsValid() {
			t.Skip()
		}
		input := map[string]string{"i": path}
		if tr, err := Compile(Config{Inputs: input, Template: jsontext.Value(template)}); err == nil {
			bodies, err := tr.Apply([]byte(event))
			if err != nil || len(bodies) > 1 || len(bodies) == 1 && !bodies[0].IsValid() {
				t.Errorf("%s with %s on %s yields %q, %v", template, path, event, bodies, err)
			}
		}
		tr, err := Compile(Config{Inputs: input, Template: jsontext.Value(`"<i>"`)})
		if err != nil {
			return
		}
		var want []byte
		if v := slowLookup(t, jsontext.Value(event), path); v != nil {
			want = v
		}
		bodies, err := tr.Apply([]byte(event))
		if err != nil || len(bodies) != min(len(want), 1) || len(want) > 0 && !bytes.Equal(bodies[0], want) {
			t.Errorf("%s in %s is %q, %v, want %q", path, event, bodies, err, want)
		}
	})
}

// slowLookup returns what is at a path; nil: nothing is.
func slowLookup(t *testing.T, v jsontext.Value, path string) jsontext.Value {
	rest := path[1:]
	for rest != "" {
		if m := index.FindStringSubmatch(rest); m != nil {
			var all []jsontext.Value
			if json.Unmarshal(v, &all) != nil {
				return nil
			}
			n, _ := json.Number(m[1]).Int64()
			if n >= int64(len(all)) {
				return nil
			}
			v, rest = all[n], rest[len(m[0]):]
			continue
		}
		name, length, err := nameOf(rest)
		var members map[string]jsontext.Value
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if json.Unmarshal(v, &members) != nil || members[name] == nil {
			return nil
		}
		v, rest = members[name], rest[length:]
	}
	return bytes.TrimSpace(v)
}

// FuzzJSONata: what an expression yields is JSON, or an error.
func FuzzJSONata(f *testing.F) {
	for _, e := range []string{"data", "data.lines.sku", "{'a': data.*}", "$map(data.lines, function($l) { $l.sku & '!' })", "data.lines^(price)[0]", "$string($)", "/a/", "[data.lines.price]"} {
		f.Add(e, order)
	}
	f.Fuzz(func(t *testing.T, text, event string) {
		if !jsontext.Value(event).IsValid() || strings.Contains(text, "..") { // a range may have ten million elements, which takes as long as a fuzzer waits for
			t.Skip()
		}
		tr, err := Compile(Config{JSONata: text})
		if err != nil {
			return
		}
		bodies, err := tr.Apply([]byte(event))
		if err != nil {
			return
		}
		for _, b := range bodies {
			if !b.IsValid(jsontext.AllowDuplicateNames(true)) {
				t.Errorf("%s on %s yields %q", text, event, b)
			}
		}
	})
}

// FuzzDecode: an event is for expressions what gnata makes of it.
func FuzzDecode(f *testing.F) {
	for _, text := range []string{order, `{}`, `[]`, ` [ { } , [ ] , "" , 0 , -1.5E+7 , true , false , null ] `, `{"a":1,"b":2,"a":{"c":3}}`, `"\u00e9\ud83d\ude00\ud800x\"\\"`,
		`{"\u0061":"\/"}`, `7`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := decode([]byte(text))
		if !jsontext.Value(text).IsValid(jsontext.AllowDuplicateNames(true)) {
			return // it ends
		}
		want, wrong := gnata.DecodeJSON([]byte(text))
		if err != nil || wrong != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %#v, %v; gnata makes %#v, %v", text, got, err, want, wrong)
		}
	})
}

func TestDecodeIsBounded(t *testing.T) {
	t.Parallel()
	for _, text := range []string{strings.Repeat("[", 1<<20), strings.Repeat(`{"a":`, 1<<20)} {
		if _, err := decode([]byte(text)); !errors.Is(err, errTooDeep) {
			t.Errorf("%.9s…: %v", text, err)
		}
	}
}

func BenchmarkTemplate(b *testing.B) {
	benchmark(b, `{"inputs":{"id":"$.data.id","n":"$.data.total","sku":"$.data.lines[0].sku"},"template":{"order":"<id>","n":"<n>","text":"Order <id>: <sku>"}}`)
}

func BenchmarkJSONata(b *testing.B) {
	benchmark(b, `{"jsonata":"{'order': data.id, 'total': $sum(data.lines.(quantity * price)), 'first': data.lines[0].sku}"}`)
}

func benchmark(b *testing.B, text string) {
	tr, err := compile(b, text)
	if err != nil {
		b.Fatal(err)
	}
	event := []byte(order)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tr.Apply(event); err != nil {
			b.Fatal(err)
		}
	}
}
