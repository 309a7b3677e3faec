package onlineretail

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/57528e99/recount/shop/sample"
)

func TestVerifyWaitsForTheReadModels(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		book := sampleBook(t, sample.Config{Orders: 100, Days: 100})
		s := newFakeShop()
		c := serve(t, s)
		report, err := Import(t.Context(), c, book)
		if err != nil {
			t.Fatalf("Import: %v", err)
		}
		s.behind = 4
		if differences, err := Verify(t.Context(), c, book, report.Token); err != nil || len(differences) > 0 {
			t.Errorf("Verify = %v, %v; want no differences", differences, err)
		}
		s.behind = 1000
		_, err = Verify(t.Context(), c, book, report.Token)
		var gaveUp *GaveUpError
		if !errors.As(err, &gaveUp) || gaveUp.After < 30*time.Second {
			t.Errorf("Verify of what stays behind = %v, want that it gave up after a minute", err)
		}
		if differences, err := Verify(t.Context(), c, book, ""); err != nil || len(differences) > 0 {
			t.Errorf("Verify without a token = %v, %v; want that it does not wait", differences, err)
		}
	})
}

func TestVerifyShowsWhatDiffers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		book := mustRead(t, oneOrder+
			"70002,1001A,MUG,2,2024-03-02T08:26:00Z,2.5,501,Norway\n"+
			"C70003,1001A,MUG,-1,2024-03-04T08:26:00Z,2.5,501,Norway\n")
		s := newFakeShop()
		c := serve(t, s)
		if _, err := Import(t.Context(), c, book); err != nil {
			t.Fatalf("Import: %v", err)
		}
		delete(s.sales, "2024-03-02")
		s.sales["2024-03-03"] = salesRow{Day: "2024-03-03", Currency: "GBP", Orders: 1}
		differences, err := Verify(t.Context(), c, book, "")
		const want = `day         figure       book  server  difference
2024-03-02  orders       1     0       -1
2024-03-02  units        2     0       -2
2024-03-02  gross_minor  500   0       -500
2024-03-02  net_minor    500   0       -500
2024-03-03  orders       0     1       +1
`
		if err != nil || differences.String() != want {
			t.Errorf("Verify = %v\n%v\nwant\n%s", err, differences, want)
		}
	})
}
