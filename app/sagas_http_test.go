package app_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/57528e99/recount/app/apptest"
	"github.com/57528e99/recount/delivery/webhook/verify"
	"github.com/57528e99/recount/sagas"
)

// payments is a service of somebody else's, which is asked over HTTP.
type payments struct {
	mu sync.Mutex
	// answers are those to come, as "503" or "200 body"; none are left: 204.
	answers []string
	asked   []string
	signed  *verify.Verifier
}

func (p *payments) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	asked := fmt.Sprintf("%s %s %s %s", r.Method, r.URL.Path, r.Header.Get("Idempotency-Key"), body)
	if r.URL.Path == "/payments" {
		if err := p.signed.Verify(r.Header, body); err != nil {
			asked += " " + err.Error()
		}
	}
	p.asked = append(p.asked, asked)
	status, answer := 204, ""
	if len(p.answers) > 0 {
		fmt.Sscanf(p.answers[0], "%d", &status)
		_, answer, _ = strings.Cut(p.answers[0], " ")
		p.answers = p.answers[1:]
	}
	if status == 429 {
		w.Header().Set("Retry-After", "0")
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, answer)
}

// bookingByHTTP pays by a request, and gives the money back by another.
const bookingByHTTP = `
saga: booking
version: 1
start: {event: TripBooked, id: {from: /id}, data: {id: {from: /id}, price: {from: /price}}}
steps:
  - step: pay
    http: {url: "URL/payments", secret: {env: RECOUNT_SECRET_PAYMENTS}}
    with: {amount: {from: /price}}
    take: {payment: {from: /payment/id}}
    attempts: {max: 2, first: 1ms}
    undo:
      http: {url: "URL/refunds", method: PUT}
      with: {payment: {from: /payment}}
  - step: confirm
    command: trip.become
    id: {from: /id}
    body: {status: confirmed}
`

// TestStepsByHTTP: what an answer says of a step, and of its undoing.
func TestStepsByHTTP(t *testing.T) {
	const secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"
	t.Setenv("RECOUNT_SECRET_PAYMENTS", secret)
	const pay, refund = `POST /payments "booking-ID/1" {"amount":100}`, `PUT /refunds "booking-ID/`
	for name, c := range map[string]struct {
		price   int64
		answers []string
		status  sagas.Status
		code    string
		asked   []string
		payment string
	}{
		"taken":          {100, []string{`201 {"payment":{"id":"p7"}}`}, sagas.Completed, "", []string{pay}, `"p7"`},
		"later":          {100, []string{"503", `200 {"payment":{"id":"p7"}}`}, sagas.Completed, "", []string{pay, pay}, `"p7"`},
		"throttled":      {100, []string{"429", "429", "429", `200 {"payment":{"id":"p7"}}`}, sagas.Completed, "", []string{pay, pay, pay, pay}, `"p7"`},
		"throttled late": {100, []string{"429", "429", "500", "429", "503"}, sagas.Failed, sagas.CodeExhausted, []string{pay, pay, pay, pay, pay, refund + `4" {"payment":null}`}, ""},
		"refused":        {100, []string{"402 no money"}, sagas.Failed, "http-402", []string{pay}, ""},
		"refused late":   {100, []string{"500", "402"}, sagas.Failed, "http-402", []string{pay, pay, refund + `4" {"payment":null}`}, ""},
		"perhaps":        {100, []string{"425", "402"}, sagas.Failed, "http-402", []string{pay, pay, refund + `4" {"payment":null}`}, ""},
		"under way":      {100, []string{"409"}, sagas.Failed, "http-409", []string{pay, refund + `4" {"payment":null}`}, ""},
		"never":          {100, []string{"500", "502"}, sagas.Failed, sagas.CodeExhausted, []string{pay, pay, refund + `4" {"payment":null}`}, ""},
		"not understood": {100, []string{"200 thanks"}, sagas.Failed, sagas.CodeAnswer, []string{pay, refund + `4" {"payment":null}`}, ""},
		"too long":       {100, []string{"200 " + strings.Repeat(" ", 1<<20)}, sagas.Failed, sagas.CodeAnswer, []string{pay, refund + `4" {"payment":null}`}, ""},
		"given back":     {13, []string{`200 {"payment":{"id":"p7"}}`, "404"}, sagas.Failed, sagas.CodeRejected, []string{strings.Replace(pay, "100", "13", 1), refund + `6" {"payment":"p7"}`}, `"p7"`},
		"not given back": {13, []string{`200 {"payment":{"id":"p7"}}`, "409"}, sagas.Stuck, sagas.CodeRejected, []string{strings.Replace(pay, "100", "13", 1), refund + `6" {"payment":"p7"}`}, `"p7"`},
	} {
		t.Run(name, func(t *testing.T) {
			signed, err := verify.New(secret)
			if err != nil {
				t.Fatal(err)
			}
			p := &payments{answers: c.answers, signed: signed}
			server := httptest.NewServer(p)
			defer server.Close()
			s, err := sagas.Parse([]byte(strings.ReplaceAll(bookingByHTTP, "URL", server.URL)), sagas.Registry{})
			if err != nil {
				t.Fatal(err)
			}
			x := apptest.New(t, tripsApp(s))
			if err := x.Do("trip.book", "ID", book{Price: c.price}); err != nil {
				t.Fatal(err)
			}
			for range len(c.answers) + 1 { // each failure is an error of Deliver
				if err = x.Deliver(); err == nil {
					break
				}
			}
			i, _, loadErr := x.Service.Sagas.Load(t.Context(), "booking", "ID")
			if err != nil || loadErr != nil {
				t.Fatal(err, loadErr)
			}
			if i.Status != c.status || i.Code != c.code || string(i.Data["payment"]) != c.payment || !slices.Equal(p.asked, c.asked) {
				t.Errorf("it is %s (%s, %s) with payment %s after\n%s\nwant %s (%s) with %s after\n%s", i.Status, i.Code, i.Error, i.Data["payment"], strings.Join(p.asked, "\n"),
					c.status, c.code, c.payment, strings.Join(c.asked, "\n"))
			}
		})
	}
}
