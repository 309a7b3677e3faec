package transform

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"github.com/recolabs/gnata"
)

const (
	// maxNesting is how many brackets and minus signs an expression has: each may be a level, with a hundred calls inside one another.
	maxNesting = 1000
	// maxParts is how many elements a function makes.
	maxParts = 1 << 18
	// maxSearched is how long a text is in which a regular expression is looked for: gnata counts from its beginning at each match.
	maxSearched = 64 << 10
)

// isEval finds $eval, also where it is only text.
var isEval = regexp.MustCompile(`\$eval([^\pL\pN_]|$)`)

func checkExpression(text string) error {
	nesting := 0
	for _, c := range []byte(text) {
		if strings.IndexByte("([{-", c) >= 0 {
			nesting++
		}
	}
	switch {
	case len(text) > maxJSONata:
		return fmt.Errorf("must be at most %d bytes, it is %d", maxJSONata, len(text))
	case nesting > maxNesting:
		return fmt.Errorf("must have at most %d of ( [ { and -, it has %d", maxNesting, nesting)
	case isEval.MatchString(text):
		return errEval
	}
	return nil
}

var errEval = fmt.Errorf("must not have $eval: what is evaluated is written down")

// environment has the functions of gnata, which ask nobody while they work, and refuses them what would become too large.
var environment = limited(gnata.NewCustomEnv(nil))

func limited[E interface {
	Lookup(name string) (any, bool)
	Bind(name string, function any)
}](env E) E {
	for _, name := range []string{"string", "split", "join", "match", "replace", "append", "zip", "flatten", "distinct", "merge", "spread",
		"base64encode", "base64decode", "encodeUrl", "encodeUrlComponent", "decodeUrl", "decodeUrlComponent", "formatNumber", "eval"} {
		function, _ := env.Lookup(name)
		v := reflect.ValueOf(function)
		var checked any
		// The types have names that are gnata's own.
		if t := reflect.TypeFor[func([]any, any, E) (any, error)](); v.CanConvert(t) {
			call := v.Convert(t).Interface().(func([]any, any, E) (any, error))
			checked = func(args []any, focus any, env E) (any, error) {
				if err := checkCall(name, args, focus); err != nil {
					return nil, err
				}
				return call(args, focus, env)
			}
		} else {
			call := v.Convert(reflect.TypeFor[func([]any, any) (any, error)]()).Interface().(func([]any, any) (any, error))
			checked = func(args []any, focus any) (any, error) {
				if err := checkCall(name, args, focus); err != nil {
					return nil, err
				}
				return call(args, focus)
			}
		}
		env.Bind(name, reflect.ValueOf(checked).Convert(v.Type()).Interface())
	}
	return env
}

// checkCall returns an error if a function with these arguments would take or make too much.
func checkCall(name string, args []any, focus any) error {
	switch name {
	case "eval":
		return errEval
	case "append": // of lists that may be long, and are not looked into
		size := 0
		for _, v := range args {
			size += len(elements(v))
		}
		return atMost(name, size, maxParts, "elements")
	case "string":
		if len(args) == 0 {
			args = []any{focus}
		}
	}
	left := MaxSize
	for _, v := range args {
		if left = weigh(left, v, 0); left < 0 {
			return fmt.Errorf("$%s gets more than %d bytes, or more than %d levels", name, MaxSize, maxDepth)
		}
	}
	if len(args) < 2 {
		return nil
	}
	text, _ := args[0].(string)
	second, isText := args[1].(string)
	switch name {
	case "join":
		return atMost(name, len(elements(args[0]))*len(second), MaxSize, "bytes")
	case "split", "match", "replace":
	default:
		return nil
	}
	if name == "split" && isText {
		return atMost(name, strings.Count(text, second), maxParts, "elements")
	}
	with, isFixed := "", false
	if len(args) > 2 {
		with, isFixed = args[2].(string)
	}
	if name == "replace" && isText && isFixed {
		return atMost(name, strings.Count(text, second)*len(with), MaxSize, "bytes")
	}
	// A regular expression, or a text that becomes one.
	if len(text) > maxSearched {
		return fmt.Errorf("$%s looks for a regular expression in %d bytes, at most %d are allowed", name, len(text), maxSearched)
	}
	if r, ok := args[1].(map[string]any); ok {
		pattern, _ := r["pattern"].(string)
		if err := atMost(name, len(text)*(1+strings.Count(pattern, "(")), MaxSize, "bytes"); err != nil {
			return err
		}
	}
	return atMost(name, len(text)*(1+strings.Count(with, "$"))+len(text)*len(with), 4*MaxSize, "bytes")
}

func atMost(name string, size, most int, what string) error {
	if size > most {
		return fmt.Errorf("$%s may yield %d %s, at most %d are allowed", name, size, what, most)
	}
	return nil
}

// elements returns those of an array of gnata.
func elements(v any) []any {
	if all, ok := v.([]any); ok {
		return all
	}
	if p := reflect.ValueOf(v); p.Kind() == reflect.Pointer && p.Elem().Kind() == reflect.Struct {
		if values := p.Elem().FieldByName("Values"); values.IsValid() {
			all, _ := values.Interface().([]any) // of a Sequence
			return all
		}
	}
	return nil
}

// weigh takes the size of a value, as it were if it was written down, from what is left. It ends as soon as nothing is: a value may be
// there in many places, and so often in others that nobody ends.
func weigh(left int, value any, depth int) int {
	if left--; depth > maxDepth {
		return -1
	}
	switch v := value.(type) {
	case nil, float64, bool:
	case string:
		return left - len(v)
	case json.Number:
		return left - len(v)
	case object:
		v.Range(func(name string, inside any) bool {
			left = weigh(left-len(name), inside, depth+1)
			return left >= 0
		})
	case map[string]any:
		for name, inside := range v {
			if left = weigh(left-len(name), inside, depth+1); left < 0 {
				return left
			}
		}
	default:
		for _, inside := range elements(v) {
			if left = weigh(left, inside, depth+1); left < 0 {
				return left
			}
		}
	}
	return left
}
