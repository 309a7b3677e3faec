package rowmap

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

type (
	status string
	id     uuid.UUID
	line   struct {
		SKU      string
		Quantity int64
		At       *time.Time `json:"at,omitempty"`
	}
	audit struct {
		By string
	}
	everything struct {
		Text      string
		Named     status
		Int       int
		Small     int8
		Byte      uint8
		Word      uint32
		Ratio     float64
		Half      float32
		Yes       bool
		At        time.Time
		UUID      uuid.UUID
		NamedUUID id
		Bytes     []byte
		Lines     []line
		Single    line
		Counts    map[string]int64
		Pair      [2]int64
		Raw       json.RawMessage
		Address   netip.Addr
		audit
		PText      *string
		PNamed     *status
		PInt       *int
		PWord      *uint32
		PRatio     *float64
		PYes       *bool
		PAt        *time.Time
		PUUID      *uuid.UUID
		PNamedUUID *id
		PLine      *line
	}
)

func ptr[T any](v T) *T { return &v }

func full() everything {
	at := time.Date(2024, 2, 29, 23, 59, 59, 123456000, time.UTC)
	return everything{
		Text: "naïve 'quote' \"double\" {brace}, \\ NULL", Named: "placed", Int: -1 << 62, Small: -128, Byte: 255,
		Word: 1<<32 - 1, Ratio: -0.1, Half: 0.25, Yes: true, At: at, UUID: uuid.New(), NamedUUID: id(uuid.New()),
		Bytes: []byte{0, 255}, Lines: []line{{SKU: "a b", Quantity: 2, At: &at}, {}}, Single: line{SKU: "s"},
		Counts: map[string]int64{"a": 1 << 60}, Pair: [2]int64{1, 2}, Raw: json.RawMessage(`{"a": 1}`),
		Address: netip.MustParseAddr("::1"), audit: audit{By: "ann"},
		PText: ptr(""), PNamed: ptr(status("x")), PInt: ptr(0), PWord: ptr(uint32(7)), PRatio: ptr(0.5), PYes: ptr(false),
		PAt: &at, PUUID: ptr(uuid.New()), PNamedUUID: ptr(id(uuid.New())), PLine: &line{SKU: "p"},
	}
}

// TestRowsComeBackAsTheyWent writes and reads rows in all of pgx's ways to run a statement, those
// for connection poolers included.
func TestRowsComeBackAsTheyWent(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	columns, err := Of(reflect.TypeFor[everything]())
	if err != nil {
		t.Fatal(err)
	}
	var definitions, casts []string
	for i, c := range columns {
		definitions = append(definitions, c.Definition())
		casts = append(casts, fmt.Sprintf("$%d::%s[]", i+1, c.Type))
	}
	if _, err := db.Pool.Exec(t.Context(), `CREATE TABLE t (`+strings.Join(definitions, ", ")+`)`); err != nil {
		t.Fatal(err)
	}
	in := []everything{full(), {Raw: json.RawMessage("null")}, full()}
	modes := []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe,
		pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol}
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			pool := poolIn(t, db.DSN, mode)
			var args []any
			var values []reflect.Value
			for i := range in {
				values = append(values, reflect.ValueOf(&in[i]).Elem())
			}
			for _, c := range columns {
				arg, err := c.Array(values)
				if err != nil {
					t.Fatal(err)
				}
				args = append(args, arg)
			}
			if _, err := pool.Exec(t.Context(), `TRUNCATE t`); err != nil {
				t.Fatal(err)
			}
			_, err := pool.Exec(t.Context(), `INSERT INTO t SELECT * FROM unnest(`+strings.Join(casts, ", ")+`)`, args...)
			if err != nil {
				t.Fatal(err)
			}
			out := readAll(t, pool, columns)
			if !reflect.DeepEqual(out, in) {
				t.Errorf("got  %+v\nwant %+v", out, in)
			}
		})
	}
}

func poolIn(t *testing.T, dsn string, mode pgx.QueryExecMode) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	config.ConnConfig.DefaultQueryExecMode = mode
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func readAll(t *testing.T, pool *pgxpool.Pool, columns Columns) []everything {
	t.Helper()
	rows, err := pool.Query(t.Context(), `SELECT * FROM t`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var out []everything
	for rows.Next() {
		var row everything
		v := reflect.ValueOf(&row).Elem()
		if err := rows.Scan(columns.Targets(nil, v)...); err != nil {
			t.Fatal(err)
		}
		if err := columns.Normalize(v); err != nil {
			t.Fatal(err)
		}
		out = append(out, row)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTypesThatWouldNotComeBackAreRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		row  any
		want string
	}{
		{"no struct", 5, "must be a struct"},
		{"no fields", struct{}{}, "has no fields"},
		{"unexported", struct{ a int }{}, "unexported and would be lost"},
		{"left out", struct {
			A int `db:"-"`
		}{}, "every field of a row is kept"},
		{"bad name", struct {
			A int `db:"a b"`
		}{}, `column name "a b"`},
		{"upper case", struct {
			A int `db:"A"`
		}{}, `column name "A"`},
		{"not a letter", struct{ Größe int }{}, `column name "größe"`},
		{"twice", struct {
			A int
			B int `db:"a"`
		}{}, "column a occurs twice"},
		{"uint64", struct{ A uint64 }{}, "use int64"},
		{"channel", struct{ A chan int }{}, "cannot be a column"},
		{"function", struct{ A func() }{}, "cannot be a column"},
		{"interface", struct{ A any }{}, "cannot be a column"},
		{"error", struct{ A error }{}, "cannot be a column"},
		{"complex", struct{ A complex128 }{}, "cannot be a column"},
		{"pointer to pointer", struct{ A **int }{}, "cannot be a column"},
		{"valuer", struct{ A sql.NullString }{}, "a pointer where it may be NULL"},
		{"interface in JSON", struct{ A map[string]any }{}, "name a concrete type"},
		{"unexported in JSON", struct{ A []struct{ b int } }{}, "would be lost"},
		{"ignored in JSON", struct {
			A struct {
				B int `json:"-"`
			}
		}{}, "would be lost"},
		{"function in JSON", struct{ A []func() }{}, "cannot be written as JSON"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Of(reflect.TypeOf(c.row))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Of(%T) = %v, want an error with %q", c.row, err, c.want)
			}
		})
	}
}

func TestAllMistakesAreReportedAtOnce(t *testing.T) {
	t.Parallel()
	_, err := Of(reflect.TypeFor[struct {
		A uint
		B chan int
	}]())
	if err == nil || !strings.Contains(err.Error(), ".A") || !strings.Contains(err.Error(), ".B") {
		t.Errorf("Of = %v, want an error that names A and B", err)
	}
}

func TestTypesThatContainThemselvesAreJSON(t *testing.T) {
	t.Parallel()
	type tree struct {
		Name     string
		Children []*tree
	}
	type row struct{ Root tree }
	columns, err := Of(reflect.TypeFor[row]())
	if err != nil || columns[0].Type != "jsonb" {
		t.Errorf("Of = %v, %v, want one jsonb column", columns, err)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	type day struct {
		Day     time.Time
		Country string `db:"country_code"`
	}
	for _, c := range []struct {
		key   any
		names []string
		want  string // names, or a part of the error
	}{
		{"", nil, "id"},
		{int32(0), []string{"number"}, "number"},
		{time.Time{}, nil, "id"},
		{uuid.UUID{}, nil, "id"},
		{day{}, nil, "day,country_code"},
		{day{}, []string{"day", "country_code"}, "day,country_code"},
		{day{}, []string{"day"}, "has the columns day, country_code"},
		{"", []string{"a", "b"}, "has one column, not 2"},
		{1.5, nil, "cannot be part of a key"},
		{struct{ A *string }{}, nil, "cannot be part of a key"},
		{struct{ A [3]int }{}, nil, "cannot be part of a key"},
		{struct{}{}, nil, "has no fields"},
		{ptr(""), nil, "cannot be part of a key"},
	} {
		columns, err := Key(reflect.TypeOf(c.key), c.names)
		got := strings.Join(columns.Names(), ",")
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("Key(%T, %v) = %q, want %q", c.key, c.names, got, c.want)
		}
	}
}

func TestNormalizeLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	type row struct {
		At  time.Time
		PAt *time.Time
	}
	columns, err := Of(reflect.TypeFor[row]())
	if err != nil {
		t.Fatal(err)
	}
	shared := time.Date(2024, 1, 1, 1, 0, 0, 1999, time.FixedZone("", 3600))
	r := row{At: shared, PAt: &shared}
	if err := columns.Normalize(reflect.ValueOf(&r).Elem()); err != nil {
		t.Fatal(err)
	}
	want := time.Date(2024, 1, 1, 0, 0, 0, 1000, time.UTC)
	if r.At != want || *r.PAt != want {
		t.Errorf("normalized to %v and %v, want %v", r.At, *r.PAt, want)
	}
	if shared.Nanosecond() != 1999 {
		t.Error("the time behind the pointer was changed, which may be shared with an event")
	}
	r = row{At: time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC)}
	if err := columns.Normalize(reflect.ValueOf(&r).Elem()); err == nil || !strings.Contains(err.Error(), "column at: the time is in the year 20000") {
		t.Errorf("Normalize = %v, want an error about the year", err)
	}
}

func TestSnakeCase(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"CustomerID": "customer_id", "ID": "id", "SKU": "sku", "SKUCode": "sku_code", "HTTPServer": "http_server",
		"TotalMinor": "total_minor", "Line1": "line1", "A": "a", "OnHand": "on_hand", "Already_Snake": "already_snake",
	} {
		if got := SnakeCase(in); got != want {
			t.Errorf("SnakeCase(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestConvert(t *testing.T) {
	t.Parallel()
	columns, err := Of(reflect.TypeFor[everything]())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		column string
		in     any
		want   any // an error's part, if it is a string and in is not
	}{
		{"text", "a", "a"},
		{"named", "placed", "placed"},
		{"named", status("placed"), "placed"},
		{"int", 5, int64(5)},
		{"int", int8(5), int64(5)},
		{"byte", 255, int64(255)},
		{"byte", 256, "a uint8 is needed, this is the int 256"},
		{"small", -129, "is needed"},
		{"p_int", ptr(5), int64(5)},
		{"p_int", nil, nil},
		{"p_int", (*int)(nil), nil},
		{"int", nil, "it is never NULL"},
		{"text", 5, "a string is needed"},
		{"at", time.Date(2024, 1, 1, 0, 0, 0, 1999, time.UTC), time.Date(2024, 1, 1, 0, 0, 0, 1000, time.UTC)},
		{"at", line{}, "is needed"},
	} {
		column, _ := columns.Find(c.column)
		got, err := column.Convert(c.in)
		if err != nil {
			got = err.Error()
		}
		if text, ok := got.(string); ok && err != nil {
			if want, _ := c.want.(string); !strings.Contains(text, want) {
				t.Errorf("Convert(%s, %v) = %v, want an error with %q", c.column, c.in, text, want)
			}
		} else if got != c.want {
			t.Errorf("Convert(%s, %v) = %v, want %v", c.column, c.in, got, c.want)
		}
	}
}
