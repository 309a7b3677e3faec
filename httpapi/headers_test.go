package httpapi

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestIdempotencyKey(t *testing.T) {
	for value, want := range map[string]string{
		`"8e03978e-40d5"`:                    "8e03978e-40d5",
		`8e03978e-40d5`:                      "8e03978e-40d5",
		`"with space, comma; and more"`:      "with space, comma; and more",
		`"a\"b\\c"`:                          `a"b\c`,
		`invoice/536365`:                     "invoice/536365",
		strings.Repeat("k", 255):             strings.Repeat("k", 255),
		`"` + strings.Repeat("k", 255) + `"`: strings.Repeat("k", 255),
	} {
		if got, err := parseIdempotencyKey(value); err != nil || got != want {
			t.Errorf("parseIdempotencyKey(%s) = %q, %v, want %q", value, got, err, want)
		}
	}
	for _, value := range []string{
		``, `"`, `""`, `"a`, `"a"b"`, `"a\b"`, `"a\"`, `"a";x=1`, `"a", "b"`, `a b`, `a,b`, `a"b`, `a;b`,
		"a\x00b", "é", "\"\x7f\"", "a\tb", strings.Repeat("k", 256),
	} {
		if got, err := parseIdempotencyKey(value); err == nil {
			t.Errorf("parseIdempotencyKey(%q) = %q, want an error", value, got)
		}
	}
}

func TestPrefer(t *testing.T) {
	for _, c := range []struct {
		values string // of headers, joined by |
		want   preferences
	}{
		{"", preferences{}},
		{"wait=2", preferences{wait: 2 * time.Second, hasWait: true}},
		{"wait=0", preferences{hasWait: true}},
		{"WAIT = 2", preferences{wait: 2 * time.Second, hasWait: true}},
		{`wait="2"`, preferences{wait: 2 * time.Second, hasWait: true}},
		{"respond-async, wait=10; x=1, handling=lenient", preferences{wait: 10 * time.Second, hasWait: true, lenient: true}},
		{"handling=lenient|wait=3", preferences{wait: 3 * time.Second, hasWait: true, lenient: true}},
		{"wait=1, wait=9|wait=8", preferences{wait: time.Second, hasWait: true}},
		{"handling=strict, handling=lenient", preferences{}},
		{`foo="a,wait=9", wait=1`, preferences{wait: time.Second, hasWait: true}},
		{`foo="a\",wait=9`, preferences{}},
		{"wait", preferences{}},
		{"wait=", preferences{}},
		{"wait=-1", preferences{}},
		{"wait=1.5", preferences{}},
		{"wait=99999999999999999999", preferences{}},
		{",;=,,;", preferences{}},
	} {
		if got := parsePrefer(strings.Split(c.values, "|")); got != c.want {
			t.Errorf("parsePrefer(%q) = %+v, want %+v", c.values, got, c.want)
		}
	}
}

func TestVersionTag(t *testing.T) {
	for _, version := range []int64{0, 7, 1<<63 - 1} {
		if got, ok := parseVersionTag(versionTag(version)); !ok || got != version {
			t.Errorf("parseVersionTag(%s) = %d, %v", versionTag(version), got, ok)
		}
	}
	for _, tag := range []string{``, `7`, `"`, `""`, `"x"`, `W/"7"`, `"07"`, `"+7"`, `"-1"`, `" 7"`, `"7", "8"`, `"9223372036854775808"`} {
		if got, ok := parseVersionTag(tag); ok {
			t.Errorf("parseVersionTag(%s) = %d, want none", tag, got)
		}
	}
}

func TestTraceID(t *testing.T) {
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	for value, want := range map[string]string{
		"00-" + id + "-00f067aa0ba902b7-01":                             id,
		"01-" + id + "-00f067aa0ba902b7-01-more":                        id,
		"ff-" + id + "-00f067aa0ba902b7-01":                             "",
		"00-" + strings.ToUpper(id) + "-00f067aa0ba902b7-01":            "",
		"00-" + strings.Repeat("0", 32) + "-00f067aa0ba902b7-01":        "",
		"00-" + id + "-0000000000000000-01":                             "",
		"00-" + id + "-00f067aa0ba902b7":                                "",
		"00-" + id + "-00f067aa0ba902b7-01-" + strings.Repeat("x", 300): "",
	} {
		if got := traceID(http.Header{"Traceparent": {value}}); got != want {
			t.Errorf("traceID(%.80q) = %q, want %q", value, got, want)
		}
	}
}

func TestTimeBounds(t *testing.T) {
	now := time.Date(2020, 2, 3, 4, 5, 6, 7890, time.FixedZone("", 3600))
	if got, want := (Time{}).Or(now), "2020-02-03T03:05:06.000007Z"; got.Format(time.RFC3339Nano) != want {
		t.Errorf("Or(now) = %v, want %s", got, want)
	}
	for text, want := range map[string]string{
		"2011-12-09T12:50:00Z":              "2011-12-09T12:50:00Z",
		"2011-12-09T12:50:00.1234567+01:00": "2011-12-09T11:50:00.123456Z",
		"0001-01-01T00:00:01Z":              "0001-01-01T00:00:01Z",
		"9999-12-31T23:59:59.999999999Z":    "9999-12-31T23:59:59.999999Z",
		"0001-01-01T00:00:00Z":              "",
		"0001-01-01T00:00:00+14:00":         "",
		"9999-12-31T23:00:00-14:00":         "",
		"0000-06-01T00:00:00Z":              "",
		"2011-12-09":                        "",
		"2011-12-09 12:50:00Z":              "",
		"2011-12-09T12:50:60Z":              "",
		"2011-02-30T12:50:00Z":              "",
		"12011-12-09T12:50:00Z":             "",
		"":                                  "",
	} {
		var got Time
		err := got.UnmarshalJSON([]byte(`"` + text + `"`))
		if want == "" {
			if err == nil {
				t.Errorf("Time %q = %v, want an error", text, got.Or(now))
			}
			continue
		}
		if err != nil || got.Or(now).Format(time.RFC3339Nano) != want {
			t.Errorf("Time %q = %v, %v, want %s", text, got.Or(now), err, want)
		}
	}
}

func FuzzHeaders(f *testing.F) {
	f.Add(`wait=2, handling=lenient; a="b,c"`)
	f.Add(`"a\"b"`)
	f.Add(`W/"7", "8"`)
	f.Fuzz(func(t *testing.T, value string) {
		if p := parsePrefer([]string{value}); p.wait < 0 {
			t.Errorf("parsePrefer(%q) waits %v", value, p.wait)
		}
		if key, err := parseIdempotencyKey(value); err == nil && (key == "" || len(key) > 255 || !isPrintableASCII(key)) {
			t.Errorf("parseIdempotencyKey(%q) = %q", value, key)
		}
		if version, ok := parseVersionTag(value); ok && versionTag(version) != value {
			t.Errorf("parseVersionTag(%q) = %d", value, version)
		}
		matchesNone([]string{value}, `"7"`)
		traceID(http.Header{"Traceparent": {value}})
	})
}
