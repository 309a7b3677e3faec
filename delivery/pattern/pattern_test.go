package pattern_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/57528e99/recount/delivery/pattern"
)

func compile(t *testing.T, text string) *pattern.Pattern {
	t.Helper()
	p, err := pattern.Compile([]byte(text))
	if err != nil {
		t.Fatalf("Compile(%s): %v", text, err)
	}
	return p
}

// The examples of EventBridge's guide to patterns, of other things.
func TestOperators(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, pattern string
		match, not    []string // data
	}{
		{"a literal is one of the values of an array", `{"data":{"state":["broken"]}}`,
			[]string{`{"state":"broken"}`, `{"state":["new","broken"]}`, `{"state":[["broken"]]}`},
			[]string{`{"state":"brok"}`, `{"state":{"broken":1}}`, `{"other":"broken"}`, `{"state":["new"]}`, `{"state":null}`}},
		{"all fields must match", `{"data":{"state":["on"],"place":{"room":["A","B"]}}}`,
			[]string{`{"state":"on","place":{"room":"B","floor":1}}`}, []string{`{"state":"on"}`, `{"state":"on","place":{"room":"C"}}`, `{"state":"on","place":"A"}`}},
		{"numbers are doubles and no strings", `{"data":{"n":[300]}}`, []string{`{"n":300}`, `{"n":300.0}`, `{"n":3e2}`, `{"n":30000E-2}`}, []string{`{"n":"300"}`, `{"n":301}`, `{"n":1e400}`}},
		{"negative zero is zero", `{"data":{"n":[0]}}`, []string{`{"n":-0}`, `{"n":-0.0e5}`}, []string{`{"n":1e-300}`}},
		{"null, the empty string and nothing differ", `{"data":{"x":[null]}}`, []string{`{"x":null}`}, []string{`{"x":""}`, `{}`, `{"x":[]}`, `{"x":"null"}`, `{"x":false}`}},
		{"the empty string", `{"data":{"x":[""]}}`, []string{`{"x":""}`}, []string{`{"x":null}`, `{}`}},
		{"true is no string", `{"data":{"x":[true]}}`, []string{`{"x":true}`}, []string{`{"x":"true"}`, `{"x":false}`, `{"x":1}`}},
		{"a prefix", `{"data":{"at":[{"prefix":"2026-10-"}]}}`, []string{`{"at":"2026-10-02T10:00:00Z"}`}, []string{`{"at":"2026-11-02"}`, `{"at":2026}`, `{"at":"2026-10"}`}},
		{"a suffix", `{"data":{"file":[{"suffix":".png"}]}}`, []string{`{"file":"a.png"}`, `{"file":".png"}`}, []string{`{"file":"a.PNG"}`, `{"file":"png"}`}},
		{"a prefix in any case", `{"data":{"x":[{"prefix":{"equals-ignore-case":"EventB"}}]}}`, []string{`{"x":"eventbus"}`, `{"x":"EVENTBUS"}`}, []string{`{"x":"event bus"}`}},
		{"a suffix in any case", `{"data":{"x":[{"suffix":{"equals-ignore-case":".Png"}}]}}`, []string{`{"x":"a.PNG"}`, `{"x":"a.png"}`}, []string{`{"x":"apng"}`}},
		{"a string in any case", `{"data":{"x":[{"equals-ignore-case":"Straße"}]}}`, []string{`{"x":"STRAẞE"}`, `{"x":"straße"}`}, []string{`{"x":"strasse"}`}},
		{"stars stand for anything", `{"data":{"path":[{"wildcard":"dir/*/doc.txt"}]}}`,
			[]string{`{"path":"dir/a/b/doc.txt"}`, `{"path":"dir//doc.txt"}`}, []string{`{"path":"dir/doc.txt"}`, `{"path":"dir/a/doc.txt.bak"}`}},
		{"stars do not overlap", `{"data":{"x":[{"wildcard":"aba*aba"}]}}`, []string{`{"x":"abaaba"}`}, []string{`{"x":"ababa"}`}},
		{"a star that is meant", `{"data":{"x":[{"wildcard":"a\\*b\\\\*"}]}}`, []string{`{"x":"a*b\\c"}`}, []string{`{"x":"axb\\c"}`}},
		{"anything but a string", `{"data":{"state":[{"anything-but":"new"}]}}`, []string{`{"state":"old"}`, `{"state":5}`, `{"state":null}`, `{"state":["new","old"]}`}, []string{`{"state":"new"}`, `{}`, `{"state":[]}`}},
		{"anything but strings", `{"data":{"state":[{"anything-but":["new","old"]}]}}`, []string{`{"state":"open"}`}, []string{`{"state":"new"}`, `{"state":"old"}`}},
		{"anything but numbers", `{"data":{"n":[{"anything-but":[100,200]}]}}`, []string{`{"n":300}`, `{"n":"100"}`}, []string{`{"n":1e2}`}},
		{"anything but a prefix", `{"data":{"x":[{"anything-but":{"prefix":"in"}}]}}`, []string{`{"x":"out"}`, `{"x":1}`}, []string{`{"x":"inner"}`}},
		{"anything but suffixes", `{"data":{"x":[{"anything-but":{"suffix":[".txt",".rtf"]}}]}}`, []string{`{"x":"a.doc"}`}, []string{`{"x":"a.txt"}`, `{"x":"a.rtf"}`}},
		{"anything but strings in any case", `{"data":{"x":[{"anything-but":{"equals-ignore-case":["new","old"]}}]}}`, []string{`{"x":"open"}`}, []string{`{"x":"NEW"}`, `{"x":"Old"}`}},
		{"anything but a wildcard", `{"data":{"x":[{"anything-but":{"wildcard":"*/lib/*"}}]}}`, []string{`{"x":"/bin/a"}`}, []string{`{"x":"/lib/a"}`}},
		{"a range", `{"data":{"n":[{"numeric":[">",0,"<=",5]}]}}`, []string{`{"n":5}`, `{"n":0.0001}`, `{"n":[9,3]}`}, []string{`{"n":0}`, `{"n":5.0001}`, `{"n":"3"}`}},
		{"equal and open ranges", `{"data":{"a":[{"numeric":["=",3.5]}],"b":[{"numeric":["<",0]},{"numeric":[">=",1e3]}]}}`, []string{`{"a":35e-1,"b":-1e-9}`, `{"a":3.5,"b":1000}`, `{"a":3.5,"b":1e999}`}, []string{`{"a":3.5,"b":0}`, `{"a":3.5,"b":999}`}},
		{"a block of addresses", `{"data":{"ip":[{"cidr":"10.0.0.7/24"}]}}`, []string{`{"ip":"10.0.0.255"}`, `{"ip":"::ffff:10.0.0.1"}`}, []string{`{"ip":"10.0.1.1"}`, `{"ip":"10.0.0"}`, `{"ip":"10.0.0.1%eth0"}`, `{"ip":10}`, `{"ip":"fe80::10"}`}},
		{"a block of IPv6 addresses", `{"data":{"ip":[{"cidr":"2001:db8::/32"}]}}`, []string{`{"ip":"2001:DB8:0:1::5"}`}, []string{`{"ip":"2001:db9::1"}`, `{"ip":"10.0.0.1"}`}},
		{"something is there", `{"data":{"x":[{"exists":true}]}}`, []string{`{"x":null}`, `{"x":[[],0]}`}, []string{`{}`, `{"x":[]}`, `{"x":{}}`, `{"x":{"y":1}}`}},
		{"nothing is there", `{"data":{"x":[{"exists":false}]}}`, []string{`{}`, `{"x":[]}`, `{"x":[[],{}]}`, `{"x":{"y":1}}`, ``, `5`}, []string{`{"x":null}`, `{"x":[1]}`}},
		{"a value or none", `{"data":{"x":["a",{"exists":false}]}}`, []string{`{}`, `{"x":"a"}`}, []string{`{"x":"b"}`}},
		{"different operators", `{"data":{"x":[{"prefix":"a"},{"numeric":["<",5]},{"anything-but":["b"]}]}}`, []string{`{"x":"ab"}`, `{"x":7}`}, []string{`{"x":"b"}`}},
		{"one of several fields", `{"data":{"$or":[{"n":[{"numeric":["<=",10]}]},{"t":[{"numeric":["<",4]}]},{"x":[1]}]}}`, []string{`{"n":3,"t":9}`, `{"n":30,"t":1}`, `{"x":1}`}, []string{`{"n":30,"t":9}`}},
		{"$or within $or, and beside others", `{"data":{"a":[1],"$or":[{"b":[1]},{"c":[1],"$or":[{"d":[1]},{"e":[1]}]}]}}`, []string{`{"a":1,"b":1}`, `{"a":1,"c":1,"e":1}`}, []string{`{"b":1}`, `{"a":1,"c":1}`, `{"a":1,"d":1}`}},
		{"one field twice", `{"data":{"a":[{"prefix":"x"}],"$or":[{"a":[{"suffix":"y"}]},{"b":[1]}]}}`, []string{`{"a":"xy"}`, `{"a":"x","b":1}`, `{"a":["q","xy"]}`}, []string{`{"a":["x","y"]}`, `{"a":"x"}`}},
		{"$or as the name of a field", `{"data":{"$or":[{"prefix":"a"},{"suffix":"b"}]}}`, []string{`{"$or":"ax"}`}, []string{`{"prefix":"a"}`}},
		{"$or of literals is a field", `{"data":{"$or":["a","b"]}}`, []string{`{"$or":"b"}`}, []string{`{}`}},
		{"a point in a key is no step", `{"data":{"a.b":["x"]}}`, []string{`{"a.b":"x"}`}, []string{`{"a":{"b":"x"}}`}},
		{"keys with escapes", `{"data":{"a/b~\u00e9":["x"]}}`, []string{`{"a\/b~é":"\u0078"}`}, []string{`{"a":"x"}`}},
		{"data that are no object", `{"data":["x",{"numeric":[">",5]}]}`, []string{`"x"`, `[1,7]`}, []string{`5`, `{"x":"x"}`}},
		{"fields in the same element of an array", `{"data":{"lines":{"sku":["A"],"quantity":[2]}}}`,
			[]string{`{"lines":[{"sku":"B","quantity":1},{"sku":"A","quantity":2}]}`, `{"lines":{"sku":"A","quantity":2}}`, `{"lines":{"sku":["B","A"],"quantity":[1,2]}}`},
			[]string{`{"lines":[{"sku":"A","quantity":1},{"sku":"B","quantity":2}]}`, `{"lines":[{"sku":"A"},{"quantity":2}]}`}},
		{"in the same element of each array", `{"data":{"a":{"b":{"x":[1],"y":[2]},"z":[3]}}}`,
			[]string{`{"a":[{"b":[{"x":1},{"x":1,"y":2}],"z":3}]}`},
			[]string{`{"a":[{"b":[{"x":1,"y":2}]},{"z":3}]}`, `{"a":[{"b":[{"x":1},{"y":2}],"z":3}]}`}},
		{"arrays beside each other are independent", `{"data":{"a":{"x":[1]},"b":{"y":[2]}}}`, []string{`{"a":[{"x":1}],"b":[{"y":3},{"y":2}]}`}, []string{`{"a":[{"x":1}],"b":[]}`}},
		{"absent in the element that matches", `{"data":{"lines":{"sku":["A"],"gift":[{"exists":false}]}}}`,
			[]string{`{"lines":[{"sku":"B","gift":true},{"sku":"A"}]}`, `{"lines":{"sku":"A"}}`}, []string{`{"lines":[{"sku":"A","gift":true},{"sku":"B"}]}`}},
		{"absent everywhere", `{"data":{"lines":{"gift":[{"exists":false}]}}}`, []string{`{"lines":[{"sku":"A"}]}`, `{}`}, []string{`{"lines":[{"sku":"A"},{"gift":1}]}`}},
		{"absent in the element that others choose", `{"data":{"a":[{"exists":false}],"$or":[{"a":{"c":[1]}},{"b":[1]}]}}`,
			[]string{`{"a":["x",{"c":1}]}`, `{"b":1}`}, []string{`{"a":["x",{"c":2}]}`, `{"a":["x"],"b":1}`}},
		{"the last of equal keys counts", `{"data":{"a":["x"]}}`, []string{`{"a":"y","a":"x"}`}, []string{`{"a":"x","a":"y"}`, `{"a":"x","a":{}}`}},
		{"an object that is there twice", `{"data":{"a":{"b":[1],"c":[{"exists":false}]}}}`, []string{`{"a":{"b":2,"c":1},"b":5,"a":{"b":1}}`}, []string{`{"a":{"b":1},"a":{}}`}},
		{"what is no JSON matches nothing about data", `{"data":{"x":[{"exists":false}]}}`, nil, []string{`{"a":1`, `{"a":"` + "\xff" + `"}`, `{} {}`, strings.Repeat("[", 129) + strings.Repeat("]", 129), ` `}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := compile(t, c.pattern)
			var m pattern.Matcher[string]
			m.Add("it", p)
			for i, data := range slices.Concat(c.match, c.not) {
				want := i < len(c.match)
				e := eventOf(data)
				if got := m.Match(e, nil); len(got) > 0 != want {
					t.Errorf("pattern %s, data %s: matched = %v, want %v", c.pattern, data, !want, want)
				}
				if x := p.Explain(e); x.Matched != want {
					t.Errorf("pattern %s, data %s: Explain = %+v, want matched = %v", c.pattern, data, x.Clause, want)
				}
			}
		})
	}
}

func TestEnvelope(t *testing.T) {
	t.Parallel()
	const event = `{"position":7,"stream":"order-1","version":0,"id":"018F3c9e-0000-7000-8000-00000000000a","type":"OrderPlaced","schema_version":2,` +
		`"content_type":"application/json","recorded_at":"2026-01-02T05:04:05.120+02:00","metadata":{"tenant":"a"},"data":{"x":1}}`
	e, err := pattern.ParseEvent([]byte(event))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		`{"position":[7],"stream":["order-1"],"category":["order"],"version":[0],"schema_version":[2],"type":["OrderPlaced"]}`: true,
		`{"id":["018f3c9e-0000-7000-8000-00000000000a"]}`:                                                                      true,
		`{"id":["018F3c9e-0000-7000-8000-00000000000a"]}`:                                                                      false,
		`{"recorded_at":["2026-01-02T03:04:05.12Z"]}`:                                                                          true,
		`{"recorded_at":[{"prefix":"2026-01-02T03:"}]}`:                                                                        true,
		`{"metadata":{"tenant":["a"]},"data":{"x":[1]}}`:                                                                       true,
		`{"metadata":{"x":[1]}}`:                                                                                               false,
		`{"position":["7"]}`:                                                                                                   false,
		`{"$or":[{"type":["Other"]},{"position":[{"numeric":[">=",7]}]}]}`:                                                     true,
		`{"$or":[{"type":["Other"]},{"stream":[{"anything-but":"order-1"}]}]}`:                                                 false,
	} {
		if x := compile(t, text).Explain(&e); x.Matched != want {
			t.Errorf("pattern %s: Explain = %+v, want matched = %v", text, x.Clause, want)
		}
	}
	// Data that are no JSON say nothing of what else there is.
	e.Data = []byte("\xff")
	if x := compile(t, `{"metadata":{"tenant":["a"]},"type":["OrderPlaced"]}`).Explain(&e); !x.Matched {
		t.Errorf("Explain = %+v, want a match", x.Clause)
	}
	if x := compile(t, `{"$or":[{"data":{"x":[{"exists":false}]}},{"type":["OrderPlaced"]}]}`).Explain(&e); !x.Matched {
		t.Errorf("Explain = %+v, want a match", x.Clause)
	}
}

func TestParseEventErrors(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`[]`:                  "an event is an object with the members position, stream",
		`null`:                "it is null",
		"\xff":                "it is not UTF-8",
		`{"type":5}`:          "/type: it is not of the right type",
		`{"type":null}`:       "/type: it is null",
		`{"id":"7"}`:          "/id: it is no UUID",
		`{"order/id":"7"}`:    "/order~1id: an event has no such member",
		`{"recorded_at":"x"}`: "/recorded_at: it is not of the right type",
	} {
		_, err := pattern.ParseEvent([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseEvent(%s) = %v, want %s", text, err, want)
		}
	}
	e, err := pattern.ParseEvent([]byte(`{"stream":"a-b-c","data_base64":"/w==","metadata":null}`))
	if err != nil || e.Category != "a" || string(e.Data) != "\xff" || string(e.Metadata) != "null" {
		t.Errorf("ParseEvent = %+v, %v", e, err)
	}
}

func TestPinned(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"type":["B","A","B"],"category":["order"]}`:                                `["A" "B"] ["order"] any`,
		`{"type":[{"prefix":"A"}],"stream":["order-1"]}`:                             `any any ["order-1"]`,
		`{"type":["A",{"exists":false}]}`:                                            `any any any`,
		`{"type":["A",{"equals-ignore-case":"b"}]}`:                                  `any any any`,
		`{"$or":[{"type":["A"]},{"type":["B"],"category":["x"]}]}`:                   `["A" "B"] any any`,
		`{"$or":[{"type":["A"]},{"data":{"type":["B"]}}]}`:                           `any any any`,
		`{"type":[{"prefix":"A"}],"$or":[{"type":["A"]},{"type":["B"],"data":[1]}]}`: `["A" "B"] any any`,
		`{"type":[5]}`: `[] any any`,
	} {
		p := compile(t, text)
		show := func(values []string) string {
			if values == nil {
				return "any"
			}
			return fmt.Sprintf("%q", values)
		}
		if got := show(p.Types()) + " " + show(p.Categories()) + " " + show(p.Streams()); got != want {
			t.Errorf("%s pins %s, want %s", text, got, want)
		}
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ pattern, data, pointer, wanted, found string }{
		{`{"type":["OrderPlaced"],"data":{"total":[ {"numeric":[">=", 100000]} ]}}`, `{"total":4200}`, "/data/total", `[{"numeric":[">=",100000]}]`, "4200"},
		{`{"type":["OrderShipped"],"data":{"total":[1]}}`, `{"total":4200}`, "/type", `["OrderShipped"]`, `"OrderPlaced"`},
		{`{"data":{"total":[1]}}`, `{"total":"1"}`, "/data/total", `[1]`, `"1"`},
		{`{"data":{"a/b":{"x":[1]}}}`, `{"a/b":{"y":1}}`, "/data/a~1b/x", `[1]`, "no such field, as there is no data / a/b / x"},
		{`{"data":{"a":[1]}}`, `{"a":{"y":1}}`, "/data/a", `[1]`, "an object, which is no value"},
		{`{"data":{"a":[1]}}`, `{"a":[[],{}]}`, "/data/a", `[1]`, "an array without a value there"},
		{`{"data":{"a":[1]}}`, `{"a":[2,true,"x"]}`, "/data/a", `[1]`, `2, true, "x"`},
		{`{"data":{"a":[1]}}`, `[2,2,2,2,2,2,2,2,2,2,2,2]`, "/data/a", `[1]`, `an array without a value there`},
		{`{"data":[1]}`, `[2,2,2,2,2,2,2,2,2,2,2,2]`, "/data", `[1]`, `2, 2, 2, 2, 2, 2, 2, 2, 2, 2 and 2 more`},
		{`{"data":{"a":[1]}}`, ``, "/data/a", `[1]`, "no data"},
		{`{"data":{"a":[1]}}`, `{"b":1e400}`, "/data/a", `[1]`, "no such field, as there is no data / a"},
		{`{"data":{"a":[{"exists":false}]}}`, `{"a`, "/data/a", `[{"exists":false}]`, "data that is no JSON"},
		{`{"data":{"a":[{"exists":false}]}}`, `{"a":null}`, "/data/a", `[{"exists":false}]`, "null"},
		{`{"position":[1]}`, ``, "/position", `[1]`, "1234567"},
		{`{"data":{"l":{"sku":["A"],"n":[2]}}}`, `{"l":[{"sku":"A","n":1},{"sku":"B","n":2}]}`, "/data/l/n", `[2]`, "1, 2, but not in one element of the array together with"},
		{`{"data":{"$or":[{"a":[1]},{"b":[1],"c":[2]}]}}`, `{"a":2,"b":1,"c":3}`, "/data/$or/1/c", `[2]`, "3"},
	} {
		clause := compile(t, c.pattern).Explain(eventOf(c.data)).Clause
		if clause == nil || clause.Pointer != c.pointer || string(clause.Wanted) != c.wanted || !strings.HasPrefix(clause.Found, c.found) {
			t.Errorf("Explain(%s, %s) = %+v, want %s, %s, %s", c.pattern, c.data, clause, c.pointer, c.wanted, c.found)
		}
	}
}

func TestCompileErrors(t *testing.T) {
	t.Parallel()
	data := func(alternatives string) string { return `{"data":{"x":` + alternatives + `}}` }
	deep := strings.Repeat(`{"data":`, 1) + strings.Repeat(`{"a":`, 32) + `["x"]` + strings.Repeat(`}`, 33)
	or := `"$or":[{"a":["x"]},{"b":["x"]}]`
	for _, c := range []struct{ text, pointer, reason string }{
		{``, "", "it is not JSON: unexpected end of JSON input, at byte 0"},
		{`{"type":["a"],}`, "", "it is not JSON: invalid character '}'"},
		{"{\"type\":[\"\xff\"]}", "", "it is not UTF-8"},
		{`["a"]`, "", "a pattern is an object of fields"},
		{`null`, "", `not null`},
		{`{}`, "", "leave the filter out"},
		{`{"data":{}}`, "/data", "it has no fields"},
		{`{"data":{"x":{}}}`, "/data/x", `write [{"exists":true}]`},
		{deep, "/data" + strings.Repeat("/a", 31), "nested deeper than 32 levels"},
		{`{"type":["` + strings.Repeat("a", pattern.MaxBytes) + `"]}`, "", "at most 32768 are allowed"},
		{`{"total":[1]}`, "/total", `as in {"data":{"total":…}}`},
		{`{"detail-type":["a"]}`, "/detail-type", "its fields are position, stream"},
		{`{"type":{"x":["a"]}}`, "/type", "type has no fields"},
		{`{"type":["a"],"type":["b"]}`, "/type", "the key is there twice: write all alternatives into one array"},
		{`{"data":{"a/b":["x"],"a/b":["y"]}}`, "/data/a~1b", "twice"},
		{`{"type":"a"}`, "/type", `write ["a"]`},
		{data(`5`), "/data/x", `write [5]`},
		{data(`true`), "/data/x", `write [true]`},
		{data(`null`), "/data/x", `write [null]`},
		{data(`[]`), "/data/x", `[{"exists":false}]`},
		{data(`["a",["b"]]`), "/data/x/1", "write its elements into the array around it"},
		{data(`[1e999]`), "/data/x/0", "beyond the range of a double"},
		{data(`[{}]`), "/data/x/0", "the expression is empty"},
		{data(`[{"prefix":"a","suffix":"b"}]`), "/data/x/0", "an expression has one operator, this has prefix, suffix"},
		{data(`[{"prefx":"a"}]`), "/data/x/0", `there is no operator "prefx": use one of prefix, suffix`},
		{data(`[{"exactly":"a"}]`), "/data/x/0", "write the value itself"},
		{data(`[{"regex":"a"}]`), "/data/x/0", "use wildcard"},
		{data(`[{"ip-address-in-range":"a"}]`), "/data/x/0", "use cidr"},
		{data(`[{"prefix":5}]`), "/data/x/0/prefix", "prefix takes a string, not a number"},
		{data(`[{"prefix":{"wildcard":"a"}}]`), "/data/x/0/prefix", `prefix takes a string or {"equals-ignore-case":"a"}`},
		{data(`[{"suffix":{"equals-ignore-case":5}}]`), "/data/x/0/suffix/equals-ignore-case", "takes a string"},
		{data(`[{"suffix":null}]`), "/data/x/0/suffix", "suffix takes a string, not null"},
		{data(`[{"equals-ignore-case":["a"]}]`), "/data/x/0/equals-ignore-case", "takes a string, not an array"},
		{data(`[{"wildcard":true}]`), "/data/x/0/wildcard", "wildcard takes a string, not true"},
		{data(`[{"wildcard":"a**"}]`), "/data/x/0/wildcard", "two stars in a row"},
		{data(`[{"wildcard":"a\\n"}]`), "/data/x/0/wildcard", "may follow on a backslash"},
		{data(`[{"wildcard":"a\\"}]`), "/data/x/0/wildcard", "may follow on a backslash"},
		{data(`[{"anything-but":true}]`), "/data/x/0/anything-but", "anything-but takes a string, a number, a list or an expression, not true"},
		{data(`[{"anything-but":[]}]`), "/data/x/0/anything-but", "the list is empty"},
		{data(`[{"anything-but":["a",5]}]`), "/data/x/0/anything-but/1", "strings only or numbers only"},
		{data(`[{"anything-but":["a",null]}]`), "/data/x/0/anything-but/1", "has strings or numbers, not null"},
		{data(`[{"anything-but":{}}]`), "/data/x/0/anything-but", "takes one of prefix, suffix, equals-ignore-case, wildcard"},
		{data(`[{"anything-but":{"prefix":"a","suffix":"b"}}]`), "/data/x/0/anything-but", "takes one of"},
		{data(`[{"anything-but":{"numeric":["<",5]}}]`), "/data/x/0/anything-but", "takes one of"},
		{data(`[{"anything-but":{"prefix":[]}}]`), "/data/x/0/anything-but/prefix", "the list is empty"},
		{data(`[{"anything-but":{"suffix":["a",5]}}]`), "/data/x/0/anything-but/suffix/1", "suffix takes a string, not a number"},
		{data(`[{"numeric":5}]`), "/data/x/0/numeric", "numeric takes an array of comparisons, not a number"},
		{data(`[{"numeric":[]}]`), "/data/x/0/numeric", "2 or 4 elements, not 0"},
		{data(`[{"numeric":[">"]}]`), "/data/x/0/numeric", "not 1"},
		{data(`[{"numeric":["!=",5]}]`), "/data/x/0/numeric/0", "a comparison is one of"},
		{data(`[{"numeric":[5,">"]}]`), "/data/x/0/numeric/0", "a comparison is one of"},
		{data(`[{"numeric":[">","5"]}]`), "/data/x/0/numeric/1", "> is followed by a number, not a string"},
		{data(`[{"numeric":[">",1e400]}]`), "/data/x/0/numeric/1", "beyond the range"},
		{data(`[{"numeric":["<",5,">",1]}]`), "/data/x/0/numeric/0", "the first is > or >=, the second < or <="},
		{data(`[{"numeric":[">",5,">",7]}]`), "/data/x/0/numeric/2", "the first is > or >=, the second < or <="},
		{data(`[{"numeric":[">",5,"<=",5]}]`), "/data/x/0/numeric", "no number is in the range"},
		{data(`[{"cidr":5}]`), "/data/x/0/cidr", "cidr takes a string"},
		{data(`[{"cidr":"10.0.0.1"}]`), "/data/x/0/cidr", "has no length"},
		{data(`[{"cidr":"10.0.0/8"}]`), "/data/x/0/cidr", "is no block of addresses"},
		{data(`[{"cidr":"10.0.0.0/33"}]`), "/data/x/0/cidr", "is no block of addresses"},
		{data(`[{"cidr":"::ffff:10.0.0.0/104"}]`), "/data/x/0/cidr", "write the IPv4 block"},
		{data(`[{"exists":"yes"}]`), "/data/x/0/exists", "exists takes true or false, not a string"},
		{`{"$or":["a"]}`, "/$or", "$or takes an array of two or more objects"},
		{`{"$or":{"type":["a"]}}`, "/$or", "$or takes an array of two or more objects"},
		{`{"$or":[{"type":["a"]}]}`, "/$or", "needs two alternatives or more"},
		{`{"$or":[{"type":["a"]},{}]}`, "/$or/1", "it has no fields"},
		{`{"$or":[{"type":["a"]},"b"]}`, "/$or/1", "an alternative of $or is an object of fields, not a string"},
		{`{"$or":[{"type":["a"]},{"total":[1]}]}`, "/$or/1/total", `an event has no field "total"`},
		{`{"data":{` + or + `,"p":{` + or + `,"p":{` + or + `,"p":{` + or + `,"p":{` + or + `,"p":{` + or + `,"p":{` + or + `,"p":{` + or + `,"p":{` + or + `}}}}}}}}}}`, "", "more than 256 ways"},
		{data(`["a` + strings.Repeat(`","a`, pattern.MaxComplexity) + `"]`), "", "the complexity is 4097, at most 4096"},
		{data(`[{"wildcard":"*` + strings.Repeat(`a*`, 64) + `"}]`), "", "a star of a wildcard 64"},
	} {
		p, err := pattern.Compile([]byte(c.text))
		var typed *pattern.Error
		if !errors.As(err, &typed) {
			t.Errorf("Compile(%.100s) = %v, %v; want %s: %s", c.text, p, err, c.pointer, c.reason)
			continue
		}
		if typed.Pointer != c.pointer || !strings.Contains(typed.Reason, c.reason) {
			t.Errorf("Compile(%.100s): %v; want %s: %s", c.text, err, c.pointer, c.reason)
		}
	}
}

// TestChangesWhileMatching: who matches sees one version, with all of a change or none of it.
func TestChangesWhileMatching(t *testing.T) {
	t.Parallel()
	var m pattern.Matcher[int]
	p, e := compile(t, `{"data":{"country":["DE"]}}`), eventOf(order)
	if got := m.Match(e, nil); got != nil {
		t.Errorf("Match without patterns = %v", got)
	}
	m.Remove(1)
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			var ids []int
			for {
				select {
				case <-stop:
					return
				default:
				}
				if ids = m.Match(e, ids[:0]); len(ids)%2 != 0 {
					t.Errorf("Match found %d patterns, which are added and removed in pairs", len(ids))
					return
				}
			}
		})
	}
	pair := func(i int) func(func(int, *pattern.Pattern) bool) {
		return func(yield func(int, *pattern.Pattern) bool) { _ = yield(i, p) && yield(i+1, p) }
	}
	for i := 0; i < 600; i += 2 {
		m.AddAll(pair(i))
		if i%8 == 6 {
			m.Remove(i-4, i-3)
		}
	}
	close(stop)
	readers.Wait()
	v := m.Version()
	m.Remove(0, 1)
	if before, after := len(v.Match(e, nil)), len(m.Match(e, nil)); before != 450 || after != 448 || m.Len() != 448 {
		t.Errorf("%d matched before, %d after; want 450 and 448", before, after)
	}
}
