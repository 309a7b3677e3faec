package eventstore_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/57528e99/recount/eventstore"
)

// The price of an article over three versions of its schema.
type (
	priceV1 struct {
		Price string `json:"price"`
	}
	priceV2 struct {
		Minor int64 `json:"minor"`
	}
	priceV3 struct {
		Minor    int64  `json:"minor"`
		Currency string `json:"currency"`
	}
	shipped struct{}
)

var errNoPrice = errors.New("no price")

func priceV1toV2(old priceV1) (priceV2, error) {
	var whole, cents int64
	if _, err := fmt.Sscanf(old.Price, "%d.%d", &whole, &cents); err != nil {
		return priceV2{}, errNoPrice
	}
	return priceV2{Minor: whole*100 + cents}, nil
}

func priceV2toV3(old priceV2) (priceV3, error) {
	return priceV3{Minor: old.Minor, Currency: "GBP"}, nil
}

func priceCodec(t *testing.T) *eventstore.Codec {
	t.Helper()
	codec, err := eventstore.NewCodec(
		// The order in which upcasters are given does not matter.
		eventstore.TypeOf[priceV3]("Priced", 3, eventstore.Upcast(2, priceV2toV3), eventstore.Upcast(1, priceV1toV2)),
		eventstore.TypeOf[shipped]("Shipped", 1),
	)
	if err != nil {
		t.Fatalf("NewCodec: %v", err)
	}
	return codec
}

func TestCodecReadsEveryVersion(t *testing.T) {
	codec := priceCodec(t)
	for _, e := range []eventstore.Event{
		{Type: "Priced", SchemaVersion: 3, Data: []byte(`{"minor":1250,"currency":"GBP"}`)},
		{Type: "Priced", SchemaVersion: 2, Data: []byte(`{"minor":1250}`)},
		{Type: "Priced", SchemaVersion: 1, Data: []byte(`{"price":"12.50"}`)},
		// What is not said is the default, as on append.
		{Type: "Priced", Data: []byte(`{"price":"12.50"}`)},
		{Type: "Priced", SchemaVersion: 2, ContentType: eventstore.ContentTypeJSON, Data: []byte(` {"minor":1250,"unknown":1} `)},
	} {
		v, err := codec.Decode(e)
		if want := (priceV3{Minor: 1250, Currency: "GBP"}); err != nil || v != want {
			t.Errorf("Decode(%+v) = %+v, %v; want %+v", e, v, err, want)
		}
	}
}

// TestCodecReadsFormerNames: events under any name are of the type, new ones get the present name.
func TestCodecReadsFormerNames(t *testing.T) {
	codec, err := eventstore.NewCodec(eventstore.TypeOf[priceV3]("ArticlePriced", 3,
		eventstore.Was("Priced", "Valued"), eventstore.Upcast(2, priceV2toV3), eventstore.Upcast(1, priceV1toV2)))
	if err != nil {
		t.Fatal(err)
	}
	want := priceV3{Minor: 1250, Currency: "GBP"}
	for _, e := range []eventstore.Event{
		{Type: "Valued", Data: []byte(`{"price":"12.50"}`)},
		{Type: "Priced", SchemaVersion: 2, Data: []byte(`{"minor":1250}`)},
		{Type: "ArticlePriced", SchemaVersion: 3, Data: []byte(`{"minor":1250,"currency":"GBP"}`)},
	} {
		if v, err := codec.Decode(e); err != nil || v != want {
			t.Errorf("Decode(%+v) = %+v, %v; want %+v", e, v, err, want)
		}
		if got, want := codec.Names(e.Type), []string{"ArticlePriced", "Priced", "Valued"}; !slices.Equal(got, want) {
			t.Errorf("Names(%q) = %q, want %q", e.Type, got, want)
		}
	}
	if e, err := codec.Encode(want); err != nil || e.Type != "ArticlePriced" {
		t.Errorf("Encode = %+v, %v; want the present name", e, err)
	}
	if err := codec.Check("Priced", 4); !errors.Is(err, eventstore.ErrUnknownVersion) {
		t.Errorf("Check of version 4 = %v, want ErrUnknownVersion", err)
	}
	if got := codec.Names("Sold"); got != nil {
		t.Errorf("Names of an unknown type = %q, want none", got)
	}
}

func TestCodecRefusesToDecode(t *testing.T) {
	for _, c := range []struct {
		event eventstore.Event
		want  error
		text  string
	}{
		{eventstore.Event{Type: "Sold", SchemaVersion: 1}, eventstore.ErrUnknownType, `"Sold"`},
		{eventstore.Event{Type: "priced", SchemaVersion: 1}, eventstore.ErrUnknownType, `"priced"`},
		{eventstore.Event{Type: "Priced", SchemaVersion: 4}, eventstore.ErrUnknownVersion, "only 1 to 3"},
		{eventstore.Event{Type: "Priced", SchemaVersion: -1}, eventstore.ErrUnknownVersion, "version -1"},
		{eventstore.Event{Type: "Shipped", SchemaVersion: 2}, eventstore.ErrUnknownVersion, "only 1 to 1"},
		{eventstore.Event{Type: "Priced", SchemaVersion: 1, Data: []byte(`{"price":"dear"}`)}, errNoPrice, "upcast from version 1"},
		{eventstore.Event{Type: "Priced", SchemaVersion: 1, Data: []byte(`{"price":7}`)}, nil, `"Priced" version 1`},
		{eventstore.Event{Type: "Priced", SchemaVersion: 2, Data: []byte(`{"minor":1e99}`)}, nil, `"Priced" version 2`},
		{eventstore.Event{Type: "Priced", SchemaVersion: 3, Data: []byte(`{"minor":`)}, nil, `"Priced" version 3`},
		{eventstore.Event{Type: "Priced", SchemaVersion: 3}, nil, `"Priced" version 3`},
		{eventstore.Event{Type: "Priced", SchemaVersion: 3, ContentType: "application/protobuf", Data: []byte(`{}`)}, nil, `"application/protobuf"`},
	} {
		v, err := codecFails(t, c.event)
		if v != nil || !strings.Contains(err.Error(), c.text) || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("Decode(%+v) = %v, %q; want no value and an error that matches %v and says %s", c.event, v, err, c.want, c.text)
		}
	}

	_, err := codecFails(t, eventstore.Event{Type: "Priced", SchemaVersion: 4})
	var unknown *eventstore.UnknownVersionError
	if want := (eventstore.UnknownVersionError{Type: "Priced", Version: 4, Oldest: 1, Newest: 3}); !errors.As(err, &unknown) || *unknown != want {
		t.Errorf("Decode of version 4 = %+v, want %+v", unknown, want)
	}
}

func codecFails(t *testing.T, e eventstore.Event) (any, error) {
	t.Helper()
	v, err := priceCodec(t).Decode(e)
	if err == nil {
		t.Fatalf("Decode(%+v) = %+v, want an error", e, v)
	}
	return v, err
}

// null is valid JSON: an upcaster from an interface type gets nil, not a panic.
func TestCodecUpcastsNull(t *testing.T) {
	codec, err := eventstore.NewCodec(eventstore.TypeOf[priceV2]("Priced", 3,
		eventstore.Upcast(1, func(old any) (any, error) { return old, nil }),
		eventstore.Upcast(2, func(old any) (priceV2, error) { return priceV2{Minor: 7}, nil }),
	))
	if err != nil {
		t.Fatalf("NewCodec: %v", err)
	}
	v, err := codec.Decode(eventstore.Event{Type: "Priced", SchemaVersion: 1, Data: []byte("null")})
	if want := (priceV2{Minor: 7}); err != nil || v != want {
		t.Errorf("Decode of null = %v, %v; want %v", v, err, want)
	}
}

func TestCodecRoundTrip(t *testing.T) {
	codec := priceCodec(t)
	rapid.Check(t, func(t *rapid.T) {
		want := priceV3{Minor: rapid.Int64().Draw(t, "minor"), Currency: rapid.String().Draw(t, "currency")}
		e, err := codec.Encode(want)
		if err != nil || e.Type != "Priced" || e.SchemaVersion != 3 || e.ContentType != eventstore.ContentTypeJSON {
			t.Fatalf("Encode(%+v) = %+v, %v", want, e, err)
		}
		if got, err := codec.Decode(e); err != nil || got != want {
			t.Fatalf("Decode(%s) = %+v, %v; want %+v", e.Data, got, err, want)
		}
	})
}

func TestCodecRefusesToEncode(t *testing.T) {
	codec, err := eventstore.NewCodec(eventstore.TypeOf[priceV3]("Priced", 3), eventstore.TypeOf[func()]("Called", 1))
	if err != nil {
		t.Fatalf("NewCodec: %v", err)
	}
	for _, v := range []any{nil, priceV2{}, &priceV3{}, "Priced"} {
		if e, err := codec.Encode(v); !errors.Is(err, eventstore.ErrUnknownType) || !strings.Contains(err.Error(), fmt.Sprintf("%T", v)) {
			t.Errorf("Encode(%#v) = %+v, %v; want an error that names the type", v, e, err)
		}
	}
	if e, err := codec.Encode(func() {}); err == nil || !strings.Contains(err.Error(), `"Called"`) {
		t.Errorf("Encode of a function = %+v, %v; want an error that names the event type", e, err)
	}
}

func TestCodecNames(t *testing.T) {
	codec := priceCodec(t)
	if got, want := codec.TypeNamesOf(reflect.TypeFor[priceV3]()), []string{"Priced"}; !slices.Equal(got, want) {
		t.Errorf("TypeNamesOf(priceV3) = %q, want %q", got, want)
	}
	if got := codec.TypeNamesOf(reflect.TypeFor[struct{}]()); len(got) > 0 {
		t.Errorf("TypeNamesOf(struct{}) = %q, want none", got)
	}
	if got, want := codec.TypeNamesOf(reflect.TypeFor[any]()), []string{"Priced", "Shipped"}; !slices.Equal(got, want) {
		t.Errorf("TypeNamesOf(any) = %q, want %q", got, want)
	}
	if got := codec.TypeNamesOf(reflect.TypeFor[error]()); len(got) > 0 {
		t.Errorf("TypeNamesOf(error) = %q, want none", got)
	}
	if got, want := codec.TypeNames(), []string{"Priced", "Shipped"}; !slices.Equal(got, want) {
		t.Errorf("TypeNames() = %q, want %q", got, want)
	}
	if name, ok := codec.TypeName(reflect.TypeFor[priceV3]()); name != "Priced" || !ok {
		t.Errorf("TypeName(priceV3) = %q, %t; want Priced", name, ok)
	}
	for _, other := range []reflect.Type{reflect.TypeFor[priceV2](), reflect.TypeFor[*priceV3](), nil} {
		if name, ok := codec.TypeName(other); name != "" || ok {
			t.Errorf("TypeName(%v) = %q, %t; want none", other, name, ok)
		}
	}
}

func TestNewCodecRefuses(t *testing.T) {
	v1to2, v2to3 := eventstore.Upcast(1, priceV1toV2), eventstore.Upcast(2, priceV2toV3)
	for what, types := range map[string][]eventstore.Type{
		"a name twice":               {eventstore.TypeOf[priceV1]("Priced", 1), eventstore.TypeOf[priceV2]("Priced", 2)},
		"a former name of another":   {eventstore.TypeOf[priceV1]("Priced", 1), eventstore.TypeOf[priceV2]("Valued", 1, eventstore.Was("Priced"))},
		"a former name twice":        {eventstore.TypeOf[priceV1]("Priced", 1, eventstore.Was("Valued", "Valued"))},
		"its own name as former":     {eventstore.TypeOf[priceV1]("Priced", 1, eventstore.Was("Priced"))},
		"no former name":             {eventstore.TypeOf[priceV1]("Priced", 1, eventstore.Was(""))},
		"a Go type under two names":  {eventstore.TypeOf[shipped]("Shipped", 1), eventstore.TypeOf[shipped]("Sent", 1)},
		"a pointer type":             {eventstore.TypeOf[*shipped]("Shipped", 1)},
		"an interface type":          {eventstore.TypeOf[error]("Shipped", 1)},
		"any":                        {eventstore.TypeOf[any]("Shipped", 1)},
		"the zero Type":              {{}},
		"no name":                    {eventstore.TypeOf[shipped]("", 1)},
		"a name of the store":        {eventstore.TypeOf[shipped]("$shipped", 1)},
		"a name that is too long":    {eventstore.TypeOf[shipped](strings.Repeat("s", 257), 1)},
		"a control character":        {eventstore.TypeOf[shipped]("Ship\nped", 1)},
		"version 0":                  {eventstore.TypeOf[shipped]("Shipped", 0)},
		"a negative version":         {eventstore.TypeOf[shipped]("Shipped", -1)},
		"a huge version":             {eventstore.TypeOf[shipped]("Shipped", 1<<15+1)},
		"a gap below the type":       {eventstore.TypeOf[priceV3]("Priced", 4, v2to3)},
		"a gap in the chain":         {eventstore.TypeOf[priceV3]("Priced", 4, v1to2, eventstore.Upcast(3, priceV2toV3))},
		"a version read twice":       {eventstore.TypeOf[priceV3]("Priced", 3, v2to3, v2to3)},
		"an upcaster from version 0": {eventstore.TypeOf[priceV2]("Priced", 1, eventstore.Upcast(0, priceV1toV2))},
		"an upcaster from above":     {eventstore.TypeOf[priceV3]("Priced", 2, v2to3)},
		"the zero Upcaster":          {eventstore.TypeOf[priceV3]("Priced", 1, eventstore.Upcaster{})},
		"a chain to another type":    {eventstore.TypeOf[priceV3]("Priced", 2, v1to2)},
		"a change of type inside":    {eventstore.TypeOf[priceV3]("Priced", 3, eventstore.Upcast(1, priceV2toV3), v2to3)},
	} {
		if _, err := eventstore.NewCodec(types...); !errors.Is(err, eventstore.ErrInvalidType) {
			t.Errorf("NewCodec with %s = %v, want %v", what, err, eventstore.ErrInvalidType)
		}
	}
	// A chain may begin above version 1: older events are known to be gone.
	if _, err := eventstore.NewCodec(eventstore.TypeOf[priceV3]("Priced", 3, v2to3)); err != nil {
		t.Errorf("NewCodec with a chain from version 2 = %v", err)
	}
}

// TypeOf keeps what it was given, not the caller's slice.
func TestTypeOfKeepsItsUpcasters(t *testing.T) {
	ups := []eventstore.TypeOption{eventstore.Upcast(2, priceV2toV3), eventstore.Upcast(1, priceV1toV2)}
	typ := eventstore.TypeOf[priceV3]("Priced", 3, ups...)
	ups[0] = eventstore.Upcaster{}
	if _, err := eventstore.NewCodec(typ); err != nil {
		t.Errorf("NewCodec after the caller changed its slice = %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	codec, err := eventstore.NewCodec(
		eventstore.TypeOf[priceV3]("Priced", 3, eventstore.Upcast(2, priceV2toV3), eventstore.Upcast(1, priceV1toV2)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(1, []byte(`{"price":"1.5"}`))
	f.Add(2, []byte(`null`))
	f.Add(3, []byte("\xff"))
	f.Fuzz(func(t *testing.T, version int, data []byte) {
		v, err := codec.Decode(eventstore.Event{Type: "Priced", SchemaVersion: version, Data: data})
		if _, ok := v.(priceV3); ok != (err == nil) {
			t.Errorf("Decode of version %d %q = %#v, %v", version, data, v, err)
		}
		if err != nil {
			if !errors.Is(err, eventstore.ErrUndecodable) && !errors.Is(err, eventstore.ErrUnknownVersion) {
				t.Errorf("Decode of version %d %q: %v, want ErrUndecodable or ErrUnknownVersion", version, data, err)
			}
			return
		}
		// What was read can be written, and is then the newest version.
		e, err := codec.Encode(v)
		if err != nil || e.SchemaVersion != 3 {
			t.Fatalf("Encode(%#v) = %+v, %v", v, e, err)
		}
		if back, err := codec.Decode(e); err != nil || !reflect.DeepEqual(back, v) {
			t.Errorf("%#v is read back as %#v, %v", v, back, err)
		}
	})
}
