package sample_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/57528e99/recount/shop/onlineretail"
	"github.com/57528e99/recount/shop/sample"
)

func generate(t testing.TB, c sample.Config) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := sample.Generate(&b, c); err != nil {
		t.Fatalf("Generate(%+v): %v", c, err)
	}
	return b.Bytes()
}

func read(t testing.TB, text []byte) *onlineretail.Book {
	t.Helper()
	book, err := onlineretail.Read(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	return book
}

// TestGenerateIsTheSameEverywhere has the digest of what other machines made.
func TestGenerateIsTheSameEverywhere(t *testing.T) {
	t.Parallel()
	const want = "2a780c0e624c9b65c460a8612990f45175275cdb28729737d96d0f95186de190"
	sum := sha256.Sum256(generate(t, sample.Config{}))
	if got := hex.EncodeToString(sum[:]); got != want {
		t.Errorf("digest of Generate(Config{}) = %s, want %s", got, want)
	}
	if bytes.Equal(generate(t, sample.Config{Seed: 1}), generate(t, sample.Config{Seed: 2})) {
		t.Error("two seeds gave the same file")
	}
}

func TestGenerateKeepsItsConfig(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		c := sample.Config{
			Seed:      rapid.Uint64().Draw(rt, "seed"),
			Orders:    rapid.IntRange(1, 200).Draw(rt, "orders"),
			Articles:  rapid.IntRange(10, 300).Draw(rt, "articles"),
			Customers: rapid.IntRange(1, 50).Draw(rt, "customers"),
			Days:      rapid.IntRange(1, 400).Draw(rt, "days"),
			MaxLines:  rapid.IntRange(1, 1500).Draw(rt, "max lines"),
			Start:     time.Date(2023, 12, 30, 23, 30, 0, 0, time.FixedZone("", -2*60*60)),
		}
		book := read(t, generate(t, c))
		if got := book.Totals().Orders; got != c.Orders {
			rt.Errorf("%d orders, want %d", got, c.Orders)
		}
		first := time.Date(2023, 12, 31, 0, 0, 0, 0, time.UTC)
		for _, v := range book.Invoices {
			if v.At.Before(first) || !v.At.Before(first.AddDate(0, 0, c.Days)) {
				rt.Errorf("invoice %s is of %v, want %d days from %v", v.Number, v.At, c.Days, first)
			}
			if v.Kind == onlineretail.Order && len(v.Lines) > c.MaxLines {
				rt.Errorf("order %s has %d lines, want at most %d", v.Number, len(v.Lines), c.MaxLines)
			}
		}
	})
}

// TestGenerateIsMessy looks for each kind of mess that the package promises.
func TestGenerateIsMessy(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		text := generate(t, sample.Config{Seed: seed})
		seen := make(map[string]bool)
		skus, folded := make(map[string]bool), make(map[string]bool)
		for _, v := range read(t, text).Invoices {
			seen["guest"] = seen["guest"] || v.Kind == onlineretail.Order && v.CustomerID == nil
			seen["customer"] = seen["customer"] || v.CustomerID != nil
			seen["abroad"] = seen["abroad"] || v.Country != "United Kingdom"
			seen["adjustment"] = seen["adjustment"] || v.Kind == onlineretail.Adjustment
			seen["return"] = seen["return"] || v.Kind == onlineretail.Return
			seen["long order"] = seen["long order"] || len(v.Lines) > 100
			inInvoice := make(map[string]bool)
			for _, l := range v.Lines {
				seen["article twice"] = seen["article twice"] || inInvoice[l.SKU]
				seen["case pair"] = seen["case pair"] || folded[strings.ToLower(l.SKU)] && !skus[l.SKU]
				inInvoice[l.SKU], skus[l.SKU], folded[strings.ToLower(l.SKU)] = true, true, true
				seen["code with a space"] = seen["code with a space"] || strings.Contains(l.SKU, " ")
				seen["code with an underscore"] = seen["code with an underscore"] || strings.Contains(l.SKU, "_")
				seen["discount"] = seen["discount"] || l.SKU == "D" && v.Kind == onlineretail.Return
				if v.Kind != onlineretail.Order {
					continue
				}
				seen["price of zero"] = seen["price of zero"] || l.UnitPriceMinor == 0
				seen["empty description"] = seen["empty description"] || l.Description == ""
				seen["stray space"] = seen["stray space"] || strings.TrimSpace(l.Description) != l.Description
				seen["quote"] = seen["quote"] || strings.ContainsAny(l.Description, `",`)
				seen["beyond ASCII"] = seen["beyond ASCII"] || len([]rune(l.Description)) < len(l.Description)
			}
		}
		seen["lines that differ in their minute"] = minutesDiffer(text)
		for _, kind := range slices.Sorted(maps.Keys(seen)) {
			if !seen[kind] {
				t.Errorf("seed %d: no %s", seed, kind)
			}
		}
	}
}

// minutesDiffer reports whether two neighbouring lines of one invoice do.
func minutesDiffer(text []byte) bool {
	var number, minute string
	for line := range strings.Lines(string(text)) {
		n, _, _ := strings.Cut(line, ",")
		_, rest, _ := strings.Cut(line, ",2024-")
		m, _, _ := strings.Cut(rest, ",")
		if n == number && m != minute {
			return true
		}
		number, minute = n, m
	}
	return false
}

func TestGenerateTakesBackNoMoreThanWasSold(t *testing.T) {
	t.Parallel()
	left := make(map[string]int64)
	for _, v := range read(t, generate(t, sample.Config{Orders: 1000})).Invoices {
		for _, l := range v.Lines {
			switch {
			case v.Kind == onlineretail.Order:
				left[l.SKU] += l.Quantity
			case v.Kind == onlineretail.Return && l.SKU != "D":
				left[l.SKU] -= l.Quantity
			}
			if left[l.SKU] < 0 {
				t.Fatalf("return %s takes back more of %s than was sold", v.Number, l.SKU)
			}
		}
	}
}

func TestGenerateSellsFewArticlesOften(t *testing.T) {
	t.Parallel()
	const articles = 2000
	counts := make(map[string]int)
	total := 0
	for _, v := range read(t, generate(t, sample.Config{Orders: 2000, Articles: articles})).Invoices {
		for _, l := range v.Lines {
			counts[l.SKU]++
			total++
		}
	}
	often := 0
	for i, n := range slices.Backward(slices.Sorted(maps.Values(counts))) {
		if i >= len(counts)-articles/10 {
			often += n
		}
	}
	if often < total/3 || len(counts) < articles*9/10 {
		t.Errorf("a tenth of the articles has %d of %d lines, and %d of %d were sold, want a third and nearly all", often, total, len(counts), articles)
	}
}

func TestGenerateRefusesWhatItCannotDo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]sample.Config{
		"Orders":    {Orders: -1},
		"Articles":  {Articles: 9},
		"Customers": {Customers: -1},
		"Days":      {Days: 3661},
		"MaxLines":  {MaxLines: 1501},
	} {
		if err := sample.Generate(new(bytes.Buffer), c); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("Generate(%+v) = %v, want an error about %s", c, err, name)
		}
	}
	if err := sample.Generate(fullDisk{}, sample.Config{}); !errors.Is(err, errFull) {
		t.Errorf("Generate to a full disk = %v, want %v", err, errFull)
	}
}

var errFull = errors.New("disk is full")

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }

func BenchmarkGenerate(b *testing.B) {
	for b.Loop() {
		b.SetBytes(int64(len(generate(b, sample.Config{Orders: 2000}))))
	}
}
