package onlineretail

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/57528e99/recount/domain/goods"
	"github.com/57528e99/recount/domain/money"
)

const header = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"

func mustRead(t *testing.T, text string) *Book {
	t.Helper()
	book, err := Read(strings.NewReader(text))
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	return book
}

func TestReadTellsTheKindsApart(t *testing.T) {
	t.Parallel()
	book := mustRead(t, header+
		"70001,1001A,BLUE  MUG ,6,2024-03-01T08:26:00Z,2.5,501,Norway\n"+
		"70002,LAMP 2,,1,2024-03-01 08:30:00,0,,Iceland\n"+
		"70001,1001a,\"MUG, \"\"SMALL\"\"\",2,2024-03-01T08:27:00Z,3,502,Chile\n"+
		"70001,1001A,BLUE MUG,1,2024-03-01T08:26:00Z,2.55,501,Norway\n"+
		"70003,1001A,broken,-3,2024-03-02T09:00:00+01:00,0,,Norway\n"+
		"C70004,D,Discount,-1,2024-03-02T10:00:00Z,27.05,501,Norway\n"+
		"70001,1001A,lost,-1,2024-03-02T10:00:00Z,0.00,,Norway\n")

	customer := "501"
	day := func(day, hour, minute int) time.Time { return time.Date(2024, 3, day, hour, minute, 0, 0, time.UTC) }
	want := []Invoice{
		{Kind: Order, Number: "70001", At: day(1, 8, 26), CustomerID: &customer, Country: "Norway", FileLine: 2, Lines: []goods.Line{
			{SKU: "1001A", Description: "BLUE  MUG ", Quantity: 6, UnitPriceMinor: 250},
			{SKU: "1001a", Description: `MUG, "SMALL"`, Quantity: 2, UnitPriceMinor: 300},
			{SKU: "1001A", Description: "BLUE MUG", Quantity: 1, UnitPriceMinor: 255},
		}},
		{Kind: Order, Number: "70002", At: day(1, 8, 30), Country: "Iceland", FileLine: 3, Lines: []goods.Line{
			{SKU: "LAMP 2", Quantity: 1},
		}},
		{Kind: Adjustment, Number: "70003", At: day(2, 8, 0), Country: "Norway", FileLine: 6, Lines: []goods.Line{
			{SKU: "1001A", Description: "broken", Quantity: 3},
		}},
		{Kind: Return, Number: "C70004", At: day(2, 10, 0), CustomerID: &customer, Country: "Norway", FileLine: 7, Lines: []goods.Line{
			{SKU: "D", Description: "Discount", Quantity: 1, UnitPriceMinor: 2705},
		}},
		{Kind: Adjustment, Number: "70001", At: day(2, 10, 0), Country: "Norway", FileLine: 8, Lines: []goods.Line{
			{SKU: "1001A", Description: "lost", Quantity: 1},
		}},
	}
	if !slices.EqualFunc(book.Invoices, want, equalInvoices) {
		t.Errorf("Read = %+v\nwant %+v", book.Invoices, want)
	}
	wantTotals := Totals{
		Orders: 2, OrderLines: 4, Units: 10, GrossMinor: 6*250 + 2*300 + 255,
		Returns: 1, ReturnLines: 1, RefundsMinor: 2705, Adjustments: 2,
	}
	if got := book.Totals(); got != wantTotals {
		t.Errorf("Totals = %+v, want %+v", got, wantTotals)
	}
	if days := book.Days(); len(days) != 2 || days["2024-03-02"].NetMinor() != -2705 {
		t.Errorf("Days = %+v, want 2 of which 2024-03-02 has a net of -2705", days)
	}
}

func equalInvoices(a, b Invoice) bool {
	sameCustomer := a.CustomerID == b.CustomerID ||
		a.CustomerID != nil && b.CustomerID != nil && *a.CustomerID == *b.CustomerID
	return a.Kind == b.Kind && a.Number == b.Number && a.At.Equal(b.At) && sameCustomer &&
		a.Country == b.Country && a.FileLine == b.FileLine && slices.Equal(a.Lines, b.Lines)
}

func TestReadTakesColumnsByNameAndFilesAsTheyCome(t *testing.T) {
	t.Parallel()
	text := "\ufeff,Country,CustomerID,UnitPrice,InvoiceDate,Quantity,Description,StockCode,InvoiceNo\r\n" +
		"0,Norway,501,2.5,2024-03-01T08:26:00Z,6,MUG,1001A,70001\r\n"
	want := mustRead(t, header+"70001,1001A,MUG,6,2024-03-01T08:26:00Z,2.50,501,Norway\n").Invoices
	if got := mustRead(t, text).Invoices; !slices.EqualFunc(got, want, equalInvoices) {
		t.Errorf("Read with other columns = %+v, want %+v", got, want)
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := io.WriteString(z, text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if got := mustRead(t, zipped.String()).Invoices; !slices.EqualFunc(got, want, equalInvoices) {
		t.Errorf("Read of gzip = %+v, want %+v", got, want)
	}
	if _, err := Read(bytes.NewReader(zipped.Bytes()[:zipped.Len()-6])); err == nil {
		t.Error("Read of a gzip file that is cut off: no error")
	}
}

func TestReadNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	const good = "70001,1001A,MUG,6,2024-03-01T08:26:00Z,2.50,501,Norway\n"
	for _, c := range []struct{ name, line, want string }{
		{"a price with three decimals", "70001,1001A,MUG,6,2024-03-01T08:26:00Z,2.555,501,Norway",
			`line 3: UnitPrice "2.555" must be pounds with at most two decimals, e.g. 2.55`},
		{"a negative price", "70001,1001A,MUG,6,2024-03-01T08:26:00Z,-2.55,501,Norway", `UnitPrice "-2.55" must be pounds`},
		{"a price in exponents", "70001,1001A,MUG,6,2024-03-01T08:26:00Z,1e3,501,Norway", `UnitPrice "1e3" must be pounds`},
		{"a price beyond bounds", "70001,1001A,MUG,6,2024-03-01T08:26:00Z,99999999999999.99,501,Norway", `UnitPrice "99999999999999.99" must be from 0 to`},
		{"a price beyond 64 bits", "70001,1001A,MUG,6,2024-03-01T08:26:00Z,99999999999999999999,501,Norway", "UnitPrice"},
		{"a quantity of none", "70001,1001A,MUG,0,2024-03-01T08:26:00Z,2.50,501,Norway", `Quantity "0" must be a whole number other than 0`},
		{"half a quantity", "70001,1001A,MUG,1.5,2024-03-01T08:26:00Z,2.50,501,Norway", `Quantity "1.5" must be a whole number`},
		{"too large a quantity", "70001,1001A,MUG,2000000000,2024-03-01T08:26:00Z,2.50,501,Norway", `Quantity "2000000000" must be from 1 to`},
		{"a return of what was sold", "C70001,1001A,MUG,6,2024-03-01T08:26:00Z,2.50,501,Norway", `Quantity "6" must be below 0 in a return`},
		{"an adjustment with a price", "70001,1001A,MUG,-6,2024-03-01T08:26:00Z,2.50,501,Norway", `UnitPrice "2.50" must be 0`},
		{"another kind of invoice", "A70001,B,Bad debt,1,2024-03-01T08:26:00Z,2.50,,Norway", `InvoiceNo "A70001" must be digits, or C and digits`},
		{"no invoice", ",1001A,MUG,6,2024-03-01T08:26:00Z,2.50,501,Norway", `InvoiceNo "" must be digits`},
		{"a date of another style", "70001,1001A,MUG,6,12/1/2010 8:26,2.50,501,Norway", `InvoiceDate "12/1/2010 8:26" must be a time such as`},
		{"no article", "70001,,MUG,6,2024-03-01T08:26:00Z,2.50,501,Norway", `StockCode "" must not be empty`},
		{"an article with a slash", "70001,A/B,MUG,6,2024-03-01T08:26:00Z,2.50,501,Norway", `StockCode "A/B" must have printable`},
		{"a control character", "70001,1001A,M\x00UG,6,2024-03-01T08:26:00Z,2.50,501,Norway", `Description "M\x00UG" must not have control`},
		{"Latin-1", "70001,1001A,CAF\xc9,6,2024-03-01T08:26:00Z,2.50,501,Norway", `Description "CAF\xc9" must be valid UTF-8`},
		{"no country", "70001,1001A,MUG,6,2024-03-01T08:26:00Z,2.50,501,", `Country "" must not be empty`},
		{"a customer with a slash", "70001,1001A,MUG,6,2024-03-01T08:26:00Z,2.50,5/1,Norway", `CustomerID "5/1" must have letters`},
		{"a missing cell", "70001,1001A,MUG,6,2024-03-01T08:26:00Z,2.50,501", "line 3: must have 8 columns as the header has, it has 7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := Read(strings.NewReader(header + good + c.line + "\n" + good))
			var wrong *FileError
			if !errors.As(err, &wrong) || len(wrong.Lines) != 1 || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Read = %v, want one bad line: %s", err, c.want)
			}
		})
	}
}

func TestReadRefusesOtherFiles(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "", "the file is empty"},
		{"other columns", "a,b\n1,2\n", "the file has no column InvoiceNo"},
		{"a column twice", strings.Replace(header, "\n", ",Country\n", 1), "the column Country twice"},
		{"a spreadsheet", "PK\x03\x04rest", "the file is a spreadsheet"},
		{"no gzip after all", "\x1f\x8brest", "damaged or cut off"},
		{"an open quote", header + "70001,1001A,\"MUG,6,2024", "line 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if _, err := Read(strings.NewReader(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Read = %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestReadReportsManyLinesButNotAll(t *testing.T) {
	t.Parallel()
	_, err := Read(strings.NewReader(header + strings.Repeat("70001,1001A,CAF\xc9,6,2024-03-01T08:26:00Z,2.50,501,Norway\n", 50)))
	var wrong *FileError
	if !errors.As(err, &wrong) || len(wrong.Lines) != maxLineErrors || !strings.HasSuffix(err.Error(), "there may be more") {
		t.Fatalf("Read = %v, want %d bad lines and that there may be more", err, maxLineErrors)
	}
	if !strings.Contains(wrong.Hint(), "iconv") {
		t.Errorf("Hint = %q, want iconv", wrong.Hint())
	}
}

func TestReadChecksInvoicesAsAWhole(t *testing.T) {
	t.Parallel()
	const line = "70001,1001A,MUG,1,2024-03-01T08:26:00Z,2.50,501,Norway\n"
	const dear = ",MUG,1,2024-03-01T08:26:00Z,10000000000.00,501,Norway\n" // all that an order can be
	var sum strings.Builder
	for i := range money.Max/goods.MaxTotalMinor + 1 {
		fmt.Fprintf(&sum, "%d,1001A%s", 70000+i, dear)
	}
	for _, c := range []struct{ name, text, want string }{
		{"too many lines", strings.Repeat(line, goods.MaxLines+1), `line 2: InvoiceNo "70001" must have from 1 to 2000 lines`},
		{"too high a total", "70001,1001A" + dear + "70001,1001B" + dear, `line 2: InvoiceNo "70001" must leave the total within`},
		{"too high a total of all", sum.String(), `line 9009: InvoiceNo "79007" must leave the sum of the file within bounds`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if _, err := Read(strings.NewReader(header + c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Read = %v, want an error with %q", err, c.want)
			}
		})
	}
}

// TestReadTheRealFile checks the sums that the file is known to have.
func TestReadTheRealFile(t *testing.T) {
	t.Parallel()
	book := realBook(t)
	want := Totals{
		Orders: 1869, OrderLines: 48991, GrossMinor: 95_533_893,
		Returns: 384, ReturnLines: 923, RefundsMinor: 11_472_638, Adjustments: 85,
	}
	got := book.Totals()
	want.Units = got.Units // not among what is known
	if got != want || got.NetMinor() != 84_061_255 {
		t.Errorf("Totals = %+v (net %d), want %+v (net 84061255)", got, got.NetMinor(), want)
	}
	longest := 0
	for _, v := range book.Invoices {
		longest = max(longest, len(v.Lines))
	}
	if longest != 675 {
		t.Errorf("longest invoice has %d lines, want 675", longest)
	}
}

// realBook reads the first 50,000 lines of Online Retail, which do not belong to
// this project and lie beside it, if at all.
func realBook(t *testing.T) *Book {
	t.Helper()
	root, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil; _, err = os.Stat(filepath.Join(root, "go.mod")) {
		if root == filepath.Dir(root) {
			t.Fatal("no go.mod above the test")
		}
		root = filepath.Dir(root)
	}
	name := filepath.Join(filepath.Dir(root), "shared", "data", "online-retail-50k.csv.gz")
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("%s is not there: it is the first 50,000 lines of Online Retail (UCI Machine Learning Repository), dates made RFC 3339", name)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	book, err := Read(f)
	if err != nil {
		t.Fatalf("Read(%s): %v", name, err)
	}
	return book
}

// compressed returns a file as gzip.
func compressed(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestReadDamagedFiles(t *testing.T) {
	whole := compressed(t, header+strings.Repeat("70001,1001A,MUG,6,2024-03-01T08:26:00Z,2.50,501,Norway\n", 100))
	flipped := bytes.Clone(whole)
	flipped[len(flipped)-6] ^= 0xff
	for what, c := range map[string]struct {
		file       []byte
		compressed bool
	}{
		"cut off":              {whole[:len(whole)/2], true},
		"cut off in its head":  {whole[:5], true},
		"without its checksum": {whole[:len(whole)-8], true},
		"another checksum":     {flipped, true},
		"no gzip":              {[]byte("\x1f\x8bnothing of the sort"), true},
		"a stray quote":        {[]byte(header + "70001,\"A\" B,,1,,,,\n"), false},
		"an open quote":        {[]byte(header + "70001,\"A"), false},
	} {
		book, err := Read(bytes.NewReader(c.file))
		var damaged *DamagedError
		if !errors.As(err, &damaged) || damaged.Compressed != c.compressed || damaged.Hint() == "" || book != nil {
			t.Errorf("Read of a file with %s = %v, %v; want a *DamagedError", what, book, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(header + "70001,1001A,\"BLUE, MUG\",6,2024-03-01T08:26:00Z,2.50,501,Norway\nC70002,D,,-1,2024-03-01 08:26:00,27,,Chile\n"))
	f.Add([]byte("\ufeff" + header + "70001,1001A,lost,-6,2024-03-01T08:26:00Z,0,,Norway\r\n"))
	f.Add([]byte(header + "70001,1001A,\"MUG"))
	f.Add([]byte("\x1f\x8b\x08\x00"))
	f.Add(compressed(f, header+"70001,1001A,MUG,6,2024-03-01T08:26:00Z,2.50,501,Norway\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		book, err := Read(bytes.NewReader(text))
		if err != nil {
			if book != nil {
				t.Error("Read returned a book and an error")
			}
			for _, line := range strings.Split(err.Error(), "\n") {
				if len(line) > 1000 {
					t.Errorf("an error of %d bytes repeats the file", len(line))
				}
			}
			return
		}
		for _, v := range book.Invoices {
			checkInvoice(t, v)
		}
		totals := book.Totals()
		if totals.GrossMinor < 0 || totals.RefundsMinor < 0 {
			t.Errorf("Totals = %+v, want nothing below 0", totals)
		}
	})
}

// checkInvoice checks what every invoice promises.
func checkInvoice(t *testing.T, v Invoice) {
	t.Helper()
	if err := goods.CheckLines(v.Lines); err != nil {
		t.Errorf("invoice %s: %v", v.Number, err)
	}
	if (v.Number[0] == 'C') != (v.Kind == Return) || v.At.Location() != time.UTC {
		t.Errorf("invoice %s is of kind %d at %v", v.Number, v.Kind, v.At)
	}
	if v.Kind == Adjustment && v.amountMinor() != 0 {
		t.Errorf("adjustment %s has a price", v.Number)
	}
	if v.CustomerID != nil && *v.CustomerID == "" {
		t.Errorf("invoice %s has an empty customer id, want none", v.Number)
	}
}
