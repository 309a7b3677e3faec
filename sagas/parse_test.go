package sagas

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/57528e99/recount/eventstore"
)

var update = flag.Bool("update", false, "write the files of testdata instead of comparing with them")

type (
	lineOf struct {
		SKU      string `json:"sku"`
		Quantity int    `json:"quantity"`
	}
	placed struct {
		OrderID string   `json:"order_id"`
		Lines   []lineOf `json:"lines"`
		Total   int      `json:"total"`
	}
	arrived struct {
		OrderID   string `json:"order_id"`
		PaymentID string `json:"payment_id"`
	}
	calledOff struct {
		OrderID string `json:"order_id"`
		Why     string `json:"why"`
	}
	orderData struct {
		Order         string   `json:"order"`
		Lines         []lineOf `json:"lines"`
		Total         int      `json:"total"`
		Authorization string   `json:"authorization,omitempty"`
		Carrier       string   `json:"carrier,omitempty"`
	}
)

func testCodec(t testing.TB) *eventstore.Codec {
	c, err := eventstore.NewCodec(eventstore.TypeOf[placed]("OrderPlaced", 1, eventstore.Was("OrderMade")), eventstore.TypeOf[arrived]("PaymentArrived", 1),
		eventstore.TypeOf[calledOff]("OrderCalledOff", 1))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func testRegistry(t testing.TB) Registry {
	type input struct{ Order string }
	type label struct {
		Carrier string `json:"carrier,omitempty"`
	}
	none := func(context.Context, Call, json.RawMessage) (any, error) { return nil, nil }
	return Registry{
		Codec:    testCodec(t),
		Commands: []string{"stock.reserve", "stock.release", "order.dispatch"},
		Functions: map[string]Function{
			"notify-approver": none, "payments.void": none,
			"payments.authorize": FunctionOf(func(_ context.Context, c Call, in input) (map[string]string, error) {
				return map[string]string{"id": "authorization of " + in.Order + " by " + c.Key}, nil
			}),
			"shipping.label": FunctionOf(func(_ context.Context, _ Call, in input) (label, error) {
				return label{carrierOf(in.Order)}, nil
			}),
		},
	}
}

// carrierOf returns none for some orders.
func carrierOf(order string) string { return strings.Trim(order, "x") }

// example returns the definition in docs/sagas-yaml.md.
func example(t testing.TB) []byte {
	doc, err := os.ReadFile("../docs/sagas-yaml.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(doc), "```yaml\n")
	text, _, found := strings.Cut(text, "```")
	if !found {
		t.Fatal("docs/sagas-yaml.md has no example")
	}
	return []byte(text)
}

// asJSON returns a value as JSON whose members are in order.
func asJSON(t interface{ Fatal(...any) }, v any) string {
	text, err := json.Marshal(v)
	var inOrder any
	if err == nil {
		err = json.Unmarshal(text, &inOrder)
	}
	if err == nil {
		text, err = json.Marshal(inOrder)
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestParseSaysWhatIsWrong: each text of testdata/mistakes.txtar has the mistakes that are behind it.
func TestParseSaysWhatIsWrong(t *testing.T) {
	const file = "testdata/mistakes.txtar"
	all, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(all.Files); i += 2 {
		_, err := Parse(all.Files[i].Data, testRegistry(t))
		said := ""
		if err != nil {
			said = err.Error() + "\n"
		}
		var mistake *MistakeError
		if !errors.As(err, &mistake) {
			t.Errorf("%s: the error is %v, want a mistake", all.Files[i].Name, err)
		}
		if *update {
			all.Files[i+1].Data = []byte(said)
		} else if want := string(all.Files[i+1].Data); said != want {
			t.Errorf("%s: it says\n%s\nwant\n%s", all.Files[i].Name, said, want)
		}
	}
	if *update {
		if err := os.WriteFile(file, txtar.Format(all), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(example(f))
	f.Add([]byte(waysAsText))
	all, err := txtar.ParseFile("testdata/mistakes.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for i := 0; i < len(all.Files); i += 2 {
		f.Add(all.Files[i].Data)
	}
	r := testRegistry(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := Parse(text, r)
		if err != nil {
			var mistake *MistakeError
			if !errors.As(err, &mistake) || mistake.Line < 1 || mistake.Column < 1 {
				t.Errorf("the error is %v, want a mistake with its place", err)
			}
			return
		}
		if err := s.Check(); err != nil {
			t.Errorf("what was parsed is wrong: %v", err)
		}
		i := begun(t, s, nil)
		if first, second := s.Mermaid(&i), s.Mermaid(&i); first != second {
			t.Error("two diagrams of the same differ")
		}
		wellFormed(t, s.SVG(&i))
	})
}

// begun returns an instance that has begun with the given data.
func begun(t testing.TB, s *Saga, data fields) (i Instance) {
	events, err := s.Decide(i, Begin{ID: "1", Data: data}, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		i = e.Evolve(i)
	}
	return i
}
