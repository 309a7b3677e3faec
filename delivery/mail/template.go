package mail

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	html "html/template"
	"io"
	"io/fs"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	text "text/template"
	"text/template/parse"
	"time"

	"github.com/57528e99/recount/delivery"
)

const (
	// maxContent is how many bytes a template may yield.
	maxContent = 4 << 20
	// maxSteps is how many rounds of loops, and templates within it, a template may go through, and maxTime how long that may take.
	maxSteps = 1 << 17
	maxTime  = 10 * time.Second
)

// Content is what is in a mail.
type Content struct {
	Subject string
	// Text and HTML are the same for readers of different programs; one may be empty.
	Text, HTML string
}

// Template yields the contents of mails. It is safe for concurrent use.
type Template struct {
	subject, text *text.Template
	html          *html.Template
}

// executable is a template of either kind.
type executable interface {
	Execute(to io.Writer, data any) error
}

// functions are those that templates have besides Go's, and those of Go's that make a text, within bounds: what is yielded is
// bounded by a Write, which these do not come to before they have made all of it.
var functions = map[string]any{
	"decimal": decimal, "printf": printf, "print": within(fmt.Sprint), "println": within(fmt.Sprintln),
	"html": within(text.HTMLEscaper), "js": within(text.JSEscaper), "urlquery": within(text.URLQueryEscaper),
}

// within returns f for arguments, and with a result, that a template may yield.
func within(f func(...any) string) func(...any) (string, error) {
	return func(args ...any) (string, error) {
		size := 0
		for _, a := range args {
			size += sizeOf(a)
		}
		if size > maxContent {
			return "", errTooLong
		}
		return notTooLong(f(args...))
	}
}

// sizeOf returns how many bytes a value of a template has as text.
func sizeOf(a any) int {
	if v := reflect.ValueOf(a); v.Kind() == reflect.String {
		return v.Len()
	}
	return len(fmt.Sprint(a))
}

func notTooLong(made string) (string, error) {
	if len(made) > maxContent {
		return "", errTooLong
	}
	return made, nil
}

const (
	// maxWidth is the largest width or precision, perByte how many bytes a verb makes of one: %q of what is no text.
	maxWidth = 999
	perByte  = 10
	// maxMade is how many bytes a printf may make, for all that is known before.
	maxMade = 64 << 20
)

var tooWide = regexp.MustCompile(`%[-+# 0-9.\[\]]*(\*|[0-9]{4})`)

func printf(format string, args ...any) (string, error) {
	if tooWide.MatchString(format) {
		return "", fmt.Errorf("printf takes widths to %d, and no * for one", maxWidth)
	}
	longest := 0
	for _, a := range args {
		longest = max(longest, sizeOf(a))
	}
	// A verb may take any of the arguments, also one that others took.
	if len(format) > maxContent || strings.Count(format, "%")*(maxWidth+perByte*longest) > maxMade {
		return "", errTooLong
	}
	return notTooLong(fmt.Sprintf(format, args...))
}

// decimal writes a whole number of the smallest units with so many decimals: decimal 2 of 4500 is 45.00.
func decimal(digits int, units any) (string, error) {
	number := fmt.Sprint(units)
	if _, err := strconv.ParseInt(number, 10, 64); err != nil || digits < 0 || digits > 18 {
		return "", fmt.Errorf("decimal takes how many decimals there are, and a whole number, not %v and %v", digits, units)
	}
	sign := ""
	if number[0] == '-' {
		sign, number = "-", number[1:]
	}
	if missing := digits + 1 - len(number); missing > 0 {
		number = strings.Repeat("0", missing) + number
	}
	if digits == 0 {
		return sign + number, nil
	}
	point := len(number) - digits
	return sign + number[:point] + "." + number[point:], nil
}

// parseInline reads a template that is in a definition.
func parseInline(name, source string) (*text.Template, error) {
	// What is not there is an error: nobody wants a mail that says "Dear <no value>".
	t, err := text.New(name).Option("missingkey=error").Funcs(functions).Parse(source)
	if err == nil {
		for _, one := range t.Templates() {
			showSteps(one.Tree)
		}
	}
	return t, err
}

// parseHTML is parseInline for HTML.
func parseHTML(name, source string) (*html.Template, error) {
	t, err := html.New(name).Option("missingkey=error").Funcs(functions).Parse(source)
	if err == nil {
		for _, one := range t.Templates() {
			showSteps(one.Tree)
		}
	}
	return t, err
}

// showSteps has a template write nothing where one begins, and in each round of a loop: bounded.Write sees loops that way which
// write nothing.
func showSteps(t *parse.Tree) {
	if t == nil || t.Root == nil {
		return // it has no text
	}
	showRounds(t.Root)
	showStep(t.Root)
}

func showStep(list *parse.ListNode) {
	list.Nodes = append([]parse.Node{&parse.TextNode{NodeType: parse.NodeText, Text: []byte{}}}, list.Nodes...)
}

func showRounds(list *parse.ListNode) {
	if list == nil {
		return
	}
	for _, node := range list.Nodes {
		var branch *parse.BranchNode
		switch n := node.(type) {
		case *parse.IfNode:
			branch = &n.BranchNode
		case *parse.WithNode:
			branch = &n.BranchNode
		case *parse.RangeNode:
			branch = &n.BranchNode
		default:
			continue
		}
		showRounds(branch.List)
		showRounds(branch.ElseList)
		if node.Type() == parse.NodeRange {
			showStep(branch.List)
		}
	}
}

// parseFiles reads the templates of a mail.
func parseFiles(files fs.FS, c delivery.MailTemplate) (t *Template, err error) {
	t = new(Template)
	if t.subject, err = parseInline("subject", c.Subject); err != nil {
		return nil, err
	}
	if c.Text != "" {
		source, err := fs.ReadFile(files, c.Text)
		if err != nil {
			return nil, fmt.Errorf("read a template: %w", err)
		}
		if t.text, err = parseInline(c.Text, string(source)); err != nil {
			return nil, err
		}
	}
	if c.HTML != "" {
		source, err := fs.ReadFile(files, c.HTML)
		if err != nil {
			return nil, fmt.Errorf("read a template: %w", err)
		}
		if t.html, err = parseHTML(c.HTML, string(source)); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// Execute returns the content for what templates are over: an event of EventData, or whatever a program gives. It yields up to 4 MiB in
// up to 131,072 rounds of loops and 10 s. The error is one that means delivery.PermanentFailure, but for the time.
func (t *Template) Execute(data any) (c Content, err error) {
	if c.Subject, err = line(t.subject, data); err != nil {
		return c, err
	}
	if t.text != nil {
		if c.Text, err = execute(t.text, data); err != nil {
			return c, err
		}
	}
	if t.html != nil {
		c.HTML, err = execute(t.html, data)
	}
	return c, err
}

// line executes a template for a header: what would begin another line of it is a space.
func line(t executable, data any) (string, error) {
	text, err := execute(t, data)
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\u0085' || r == '\u2028' || r == '\u2029' }), " "), err
}

func execute(t executable, data any) (string, error) {
	b := bounded{until: time.Now().Add(maxTime)}
	err := t.Execute(&b, data)
	if errors.Is(err, errTooSlow) {
		return "", err
	}
	if err != nil {
		return "", delivery.Permanent(err)
	}
	return strings.ToValidUTF8(strings.ReplaceAll(b.String(), "\x00", "\uFFFD"), "\uFFFD"), nil
}

// bounded is a buffer for what a template yields.
type bounded struct {
	bytes.Buffer
	steps int
	until time.Time
}

var (
	errTooLong = errors.New("the template yields more than 4 MiB")
	errTooMuch = fmt.Errorf("the template goes through more than %d rounds of loops", maxSteps)
	errTooSlow = fmt.Errorf("the template takes longer than %s", maxTime)
)

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	if len(p) == 0 {
		b.steps++
	}
	switch {
	case b.Len()+len(p) > maxContent:
		return 0, errTooLong
	case b.steps > maxSteps:
		return 0, errTooMuch
	case b.steps%64 == 0 && time.Now().After(b.until):
		return 0, errTooSlow
	}
	return b.Buffer.Write(p)
}

// EventData returns what templates are over for an event as it is delivered, which delivery.Event.AppendJSON writes: its members,
// without those that are null, and all of it as the text "json". Numbers are written as the event has them.
func EventData(source []byte) (map[string]any, error) {
	decoder := json.NewDecoder(bytes.NewReader(source))
	decoder.UseNumber()
	var members map[string]any
	if err := decoder.Decode(&members); err != nil {
		return nil, fmt.Errorf("read the event: %w", err)
	}
	withoutNulls(members)
	members["json"] = string(source)
	return members, nil
}

// withoutNulls removes members that are null, so that a template finds them missing.
func withoutNulls(value any) {
	switch v := value.(type) {
	case map[string]any:
		for name, member := range v {
			if member == nil {
				delete(v, name)
				continue
			}
			withoutNulls(member)
		}
	case []any:
		for _, item := range v {
			withoutNulls(item)
		}
	}
}
