package httpapi

import (
	"errors"
	"reflect"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// bodyProblem says, without the names of Go types, how JSON does not fit a body.
func bodyProblem(err error) *Problem {
	var semantic *json.SemanticError
	if !errors.As(err, &semantic) {
		return malformed(err)
	}
	var blamed FieldBlamer
	if errors.As(semantic.Err, &blamed) {
		within, reason := blamed.InvalidField()
		return InvalidMember(string(semantic.JSONPointer)+within, reason)
	}
	return InvalidMember(string(semantic.JSONPointer), describeMismatch(semantic))
}

func describeMismatch(e *json.SemanticError) string {
	switch {
	case errors.Is(e.Err, errNull):
		return errNull.Error()
	case errors.Is(e.Err, json.ErrUnknownName):
		return "is not known here; " + knownAre(memberNames(e.GoType))
	case errors.Is(e.Err, strconv.ErrRange):
		return "is out of range"
	case e.Err != nil && !errors.Is(e.Err, strconv.ErrSyntax):
		return e.Err.Error()
	}
	return "must be " + typeName(e.GoType) + ", it is " + kindName(e.JSONKind)
}

// InvalidMember is the problem of a member of the body, at a JSON pointer, that is wrong. Detail says what it must be.
func InvalidMember(pointer, detail string) *Problem {
	name := pointer
	if name == "" {
		name = "The body"
	}
	return kindInvalidBody.Problem(name+" "+detail+".").withPointer(pointer, detail)
}

// memberNames lists the JSON names of a struct's fields.
func memberNames(t reflect.Type) []string {
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	var names []string
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "" && name != "-" {
			names = append(names, name)
		}
	}
	return names
}

func typeName(t reflect.Type) string {
	if t == nil {
		return "something else"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Map, reflect.Struct:
		return "an object"
	case reflect.Pointer:
		return typeName(t.Elem())
	}
	return "a whole number"
}

func kindName(k jsontext.Kind) string {
	switch k {
	case jsontext.KindNull:
		return "null"
	case jsontext.KindTrue, jsontext.KindFalse:
		return "true or false"
	case jsontext.KindString:
		return "a string"
	case jsontext.KindNumber:
		return "a number"
	case jsontext.KindBeginArray, jsontext.KindEndArray:
		return "an array"
	case jsontext.KindBeginObject, jsontext.KindEndObject:
		return "an object"
	}
	return "something else"
}
