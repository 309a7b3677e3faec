package httpapi

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// parameterFor describes the texts that scanText reads into what into points to.
func parameterFor(into any) Parameter {
	t := reflect.TypeOf(into).Elem()
	switch {
	case t == reflect.TypeFor[time.Time]():
		return Parameter{Type: "string", Format: "date-time"}
	case t == reflect.TypeFor[uuid.UUID](), isUUID(t) && !isText(into):
		return Parameter{Type: "string", Format: "uuid"}
	case isText(into):
		return Parameter{Type: "string", MaxBytes: maxParamBytes}
	}
	switch t.Kind() {
	case reflect.Bool:
		return Parameter{Type: "boolean"}
	case reflect.Float32, reflect.Float64:
		return Parameter{Type: "number"}
	case reflect.String:
		return Parameter{Type: "string", MaxBytes: maxParamBytes}
	}
	return Parameter{Type: "integer", Format: "int64"}
}

func isText(into any) bool {
	_, ok := into.(encoding.TextUnmarshaler)
	return ok
}

// isUUID reports whether values of t are 16 bytes.
func isUUID(t reflect.Type) bool {
	return t.Kind() == reflect.Array && t.Len() == 16 && t.Elem().Kind() == reflect.Uint8
}

// scanText reads a text as Params.Scan does, and returns what is wrong with it; "" if nothing is.
func scanText(text string, into any) (fault string) {
	if fault := invalidText(text); fault != "" {
		return fault
	}
	v := reflect.ValueOf(into).Elem()
	var err error
	switch t := into.(type) {
	case *time.Time:
		*t, err = parseTime(text)
	case *uuid.UUID:
		err = setBasic(v, text)
	case encoding.TextUnmarshaler:
		if err = t.UnmarshalText([]byte(text)); err != nil {
			err = fmt.Errorf("cannot be read: %w", err)
		}
	default:
		err = setBasic(v, text)
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func setBasic(v reflect.Value, text string) error {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		if text != "true" && text != "false" {
			return errors.New("must be true or false")
		}
		v.SetBool(text == "true")
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		high := int64(math.MaxInt64) >> (64 - v.Type().Bits())
		n, err := strconv.ParseInt(text, 10, v.Type().Bits())
		if err != nil {
			return wholeNumber(-high-1, high)
		}
		v.SetInt(n)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n, err := strconv.ParseUint(text, 10, v.Type().Bits())
		if err != nil {
			return wholeNumber(0, uint64(math.MaxUint64)>>(64-v.Type().Bits()))
		}
		v.SetUint(n)
	case reflect.Float32, reflect.Float64:
		n, err := strconv.ParseFloat(text, v.Type().Bits())
		if err != nil || math.IsInf(n, 0) || math.IsNaN(n) {
			return errors.New("must be a number")
		}
		v.SetFloat(n)
	default:
		if !isUUID(v.Type()) {
			return fmt.Errorf("cannot be given as a text: it is a %v", v.Type())
		}
		id, err := uuid.Parse(text)
		if err != nil {
			return errors.New("must be a UUID")
		}
		reflect.Copy(v, reflect.ValueOf(id))
	}
	return nil
}

// wholeNumber is the error for a text that is not one within the bounds.
func wholeNumber[N int64 | uint64](low, high N) error {
	return fmt.Errorf("must be a whole number from %d to %d", low, high)
}
