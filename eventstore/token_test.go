package eventstore_test

import (
	"encoding/base64"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/57528e99/recount/eventstore"
)

func TestTokenTravelsAsText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := eventstore.Token{
			Log:         uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "log")),
			Incarnation: rapid.Int64Range(0, math.MaxInt64).Draw(t, "incarnation"),
			Position:    rapid.Int64Range(0, math.MaxInt64).Draw(t, "position"),
		}
		text := want.String()
		if strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			t.Fatalf("%+v is %q, want what needs no escape in a URL or a header", want, text)
		}
		if got, err := eventstore.ParseToken(text); err != nil || got != want {
			t.Fatalf("ParseToken(%q) = %+v, %v; want %+v", text, got, err, want)
		}
	})
}

func TestZeroTokenDemandsNothing(t *testing.T) {
	zero, err := eventstore.ParseToken("")
	if err != nil || !zero.IsZero() || zero.String() != "" {
		t.Errorf("ParseToken of nothing = %+v, %v; want the zero token", zero, err)
	}
	// The head of an empty log has no position, and still names its log.
	if (eventstore.Token{Log: uuid.New()}).IsZero() {
		t.Error("the head of an empty log is taken for the zero token")
	}
}

func TestParseTokenRefuses(t *testing.T) {
	valid := eventstore.Token{Log: uuid.New(), Incarnation: 1, Position: 300}.String()
	raw, err := base64.RawURLEncoding.DecodeString(valid)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	otherVersion := append([]byte{2}, raw[1:]...)
	for what, text := range map[string]string{
		"another alphabet":     strings.Repeat("+/", 20),
		"spaces":               " " + valid,
		"a line break":         valid[:10] + "\n" + valid[10:],
		"padding":              base64.URLEncoding.EncodeToString(raw[:19]),
		"another version":      encode(otherVersion),
		"a log only":           encode(raw[:17]),
		"no position":          encode(raw[:18]),
		"half a position":      encode(raw[:len(raw)-1]),
		"more behind":          encode(append(raw[:len(raw):len(raw)], 0)),
		"a long form":          encode(append(raw[:18:18], 0x80, 0x00)),
		"a number over 64 bit": encode(append(raw[:18:18], 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f)),
		"a negative position":  eventstore.Token{Log: uuid.New(), Position: -1}.String(),
		"the zero token":       encode(append([]byte{1}, make([]byte, 18)...)),
		"a number":             "42",
		"much":                 strings.Repeat("A", 10_000),
	} {
		got, err := eventstore.ParseToken(text)
		if !errors.Is(err, eventstore.ErrInvalidToken) || !got.IsZero() {
			t.Errorf("ParseToken with %s = %+v, %v; want %v", what, got, err, eventstore.ErrInvalidToken)
		} else if len(err.Error()) > 300 {
			t.Errorf("ParseToken with %s: the error repeats %d bytes of input", what, len(err.Error()))
		}
	}
}

func FuzzParseToken(f *testing.F) {
	f.Add("")
	f.Add(eventstore.Token{Log: uuid.Max, Incarnation: 3, Position: 1 << 40}.String())
	f.Add("AQAA")
	f.Fuzz(func(t *testing.T, text string) {
		token, err := eventstore.ParseToken(text)
		if err == nil && token.String() != text {
			t.Errorf("ParseToken(%q) = %+v, whose text is %q", text, token, token)
		}
	})
}
