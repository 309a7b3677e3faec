package delivery

import (
	"bytes"
	"errors"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// The words of Start and Key.
const (
	AtBeginning = "beginning"
	AtEnd       = "end"
	ByStream    = "stream"
	ByNone      = "none"
)

const (
	startForms  = `"beginning", "end", {"position":7}, {"time":"2026-01-01T00:00:00Z"} or {"after_event":"<id>"}`
	keyForms    = `"stream", "none" or {"path":"/data/customer_id"}`
	sourceForms = `{"log":{}} or {"changes":{"projection":"orders","images":"new_and_old"}}`
	secretForms = `{"env":"RECOUNT_SECRET_NAME"} or {"file":"/run/secrets/name"}`
)

// shape reads a value that is text or an object of T, and says what it must be if it is neither.
func shape[T any](d *jsontext.Decoder, forms string, text func(string), object func(T)) error {
	value, err := d.ReadValue()
	if err != nil {
		return err
	}
	var s string
	var o T
	switch value.Kind() {
	case '"':
		if err = json.Unmarshal(value, &s); err == nil {
			text(s)
		}
	case '{':
		if err = json.Unmarshal(value, &o, json.RejectUnknownMembers(true)); err == nil {
			object(o)
		}
	default:
		err = errors.New("neither")
	}
	if err != nil {
		return &FieldError{"", "must be " + forms}
	}
	return nil
}

type startObject struct {
	Position   int64     `json:"position,omitzero"`
	Time       time.Time `json:"time,omitzero"`
	AfterEvent string    `json:"after_event,omitzero"`
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (s *Start) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	return shape(d, startForms, func(at string) { *s = Start{At: at} },
		func(o startObject) { *s = Start{Position: o.Position, Time: o.Time, AfterEvent: o.AfterEvent} })
}

// MarshalJSONTo implements json.MarshalerTo.
func (s Start) MarshalJSONTo(e *jsontext.Encoder) error {
	if s.At != "" || s == (Start{}) {
		return json.MarshalEncode(e, s.At)
	}
	return json.MarshalEncode(e, startObject{s.Position, s.Time, s.AfterEvent})
}

type keyObject struct {
	Path string `json:"path"`
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (k *Key) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	return shape(d, keyForms, func(by string) { *k = Key{By: by} }, func(o keyObject) { *k = Key{Path: o.Path} })
}

// MarshalJSONTo implements json.MarshalerTo.
func (k Key) MarshalJSONTo(e *jsontext.Encoder) error {
	if k.Path == "" {
		return json.MarshalEncode(e, k.By)
	}
	return json.MarshalEncode(e, keyObject{k.Path})
}

type secretObject struct {
	Env  string `json:"env,omitzero"`
	File string `json:"file,omitzero"`
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (s *Secret) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	return shape(d, "text, "+secretForms, func(v string) { *s = Secret{Value: v} }, func(o secretObject) { *s = Secret{Env: o.Env, File: o.File} })
}

// MarshalJSONTo implements json.MarshalerTo.
func (s Secret) MarshalJSONTo(e *jsontext.Encoder) error {
	if s.Env == "" && s.File == "" {
		return json.MarshalEncode(e, s.Value)
	}
	return json.MarshalEncode(e, secretObject{s.Env, s.File})
}

// String hides a value that is text.
func (s Secret) String() string {
	switch {
	case s.Env != "":
		return "env " + s.Env
	case s.File != "":
		return "file " + s.File
	}
	return "***"
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (s *Source) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	value, err := d.ReadValue()
	if err != nil {
		return err
	}
	var members map[string]jsontext.Value
	if err := json.Unmarshal(value, &members); err != nil || len(members) > 1 {
		return &FieldError{"", "must be " + sourceForms}
	}
	for name := range members {
		if name != "log" && name != "changes" {
			return &FieldError{string(jsontext.Pointer("").AppendToken(name)), "is not known: there are " + sourceForms}
		}
	}
	if log := members["log"]; log != nil && !bytes.Equal(bytes.ReplaceAll(log, []byte(" "), nil), []byte("{}")) {
		return &FieldError{"/log", "must be {}: it has no choices"}
	}
	if members["log"] != nil {
		s.Log = &LogSource{}
	}
	if changes := members["changes"]; changes != nil {
		s.Changes = &ChangesSource{}
		if err := json.Unmarshal(changes, s.Changes, json.RejectUnknownMembers(true)); err != nil {
			field := fieldError(err)
			return &FieldError{"/changes" + field.Pointer, field.Reason}
		}
	}
	return nil
}

// MarshalJSON implements the Marshaler of encoding/json, as the methods below do.
func (s Start) MarshalJSON() ([]byte, error) { return json.Marshal(s) }

// UnmarshalJSON implements json.Unmarshaler.
func (s *Start) UnmarshalJSON(text []byte) error { return json.Unmarshal(text, s) }

// MarshalJSON implements json.Marshaler.
func (k Key) MarshalJSON() ([]byte, error) { return json.Marshal(k) }

// UnmarshalJSON implements json.Unmarshaler.
func (k *Key) UnmarshalJSON(text []byte) error { return json.Unmarshal(text, k) }

// MarshalJSON implements json.Marshaler.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(s) }

// UnmarshalJSON implements json.Unmarshaler.
func (s *Secret) UnmarshalJSON(text []byte) error { return json.Unmarshal(text, s) }

// UnmarshalJSON implements json.Unmarshaler.
func (s *Source) UnmarshalJSON(text []byte) error { return json.Unmarshal(text, s) }
