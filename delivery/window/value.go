package window

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"slices"
	"strconv"
)

// Op is how a value of a window is made from those of its events.
type Op string

// The operations. All but count are of a member of events; those that have none, or null, change nothing.
const (
	Count Op = "count"
	// Sum, Min, Max and Avg are of numbers, exactly; an average is rounded to 12 digits behind the point, half to even.
	Sum Op = "sum"
	Min Op = "min"
	Max Op = "max"
	Avg Op = "avg"
	// Distinct is how many different values there are, up to MaxDistinct.
	Distinct Op = "distinct"
	// First and Last are the values of the events with the smallest and the largest time; of several, that of the first and the last in the log.
	First Op = "first"
	Last  Op = "last"
)

// Ops are all operations.
func Ops() []Op { return []Op{Count, Sum, Min, Max, Avg, Distinct, First, Last} }

// IsNumeric reports whether the operation takes numbers only.
func (o Op) IsNumeric() bool { return o == Sum || o == Min || o == Max || o == Avg }

// MaxDistinct is how many different values of a window are counted: of more it says as many.
const MaxDistinct = 10_000

// Operand is what an event has for a value.
type Operand struct {
	// There: it has something.
	There bool
	// Number is that of a numeric operation, Text the JSON of others.
	Number Decimal
	Text   string
}

// value is a value of a window that grows. What of it is used depends on the Op.
type value struct {
	N    int64           `json:"n,omitempty"`
	D    *Decimal        `json:"d,omitempty"`
	Text json.RawMessage `json:"t,omitempty"`
	// At and Position are of the event that Text is of.
	At       int64 `json:"a,omitempty"`
	Position int64 `json:"p,omitempty"`
	// Set are hashes of the different values, sorted: with 64 bits two of 10,000 are taken for one in 1 of 10¹¹ windows.
	Set []uint64 `json:"s,omitempty"`
}

func (v *value) add(op Op, o *Operand, e *Event) {
	if op == Count {
		v.N++
		return
	}
	if !o.There {
		return
	}
	switch op {
	case Sum, Avg:
		if v.N++; v.D == nil {
			v.D = new(Decimal)
		}
		v.D.add(&o.Number)
	case Min, Max:
		v.takeExtreme(op, &o.Number)
	case Distinct:
		sum := sha256.Sum256([]byte(o.Text))
		v.addHash(binary.BigEndian.Uint64(sum[:]))
	case First, Last:
		v.takeText(op, json.RawMessage(o.Text), e.At, e.Position)
	}
}

func (v *value) takeExtreme(op Op, d *Decimal) {
	if v.D == nil || op == Min && d.cmp(v.D) < 0 || op == Max && d.cmp(v.D) > 0 {
		v.D = new(d.clone())
	}
}

func (v *value) takeText(op Op, text json.RawMessage, at, position int64) {
	before := at < v.At || at == v.At && position < v.Position
	if v.Text == nil || before == (op == First) {
		v.Text, v.At, v.Position = text, at, position
	}
}

func (v *value) addHash(h uint64) {
	if i, found := slices.BinarySearch(v.Set, h); !found && len(v.Set) < MaxDistinct {
		v.Set = slices.Insert(v.Set, i, h)
	}
}

// merge adds what another window has.
func (v *value) merge(op Op, o *value) {
	switch op {
	case Count:
		v.N += o.N
	case Sum, Avg:
		if v.N += o.N; o.D != nil {
			if v.D == nil {
				v.D = new(Decimal)
			}
			v.D.add(o.D)
		}
	case Min, Max:
		if o.D != nil {
			v.takeExtreme(op, o.D)
		}
	case Distinct:
		for _, h := range o.Set {
			v.addHash(h)
		}
	case First, Last:
		if o.Text != nil {
			v.takeText(op, o.Text, o.At, o.Position)
		}
	}
}

// result returns the value as JSON: null, if no event had anything for it; but a sum is 0 then.
func (v *value) result(op Op) json.RawMessage {
	switch {
	case op == Count:
		return strconv.AppendInt(nil, v.N, 10)
	case op == Distinct:
		return strconv.AppendInt(nil, int64(len(v.Set)), 10)
	case (op == First || op == Last) && v.Text != nil:
		return v.Text
	case op == Sum && v.D == nil:
		return json.RawMessage("0")
	case op == Avg && v.D != nil:
		return json.RawMessage(v.D.over(v.N).String())
	case v.D != nil:
		return json.RawMessage(v.D.String())
	}
	return json.RawMessage("null")
}
