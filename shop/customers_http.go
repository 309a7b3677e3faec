package shop

import (
	"context"
	"fmt"
	"time"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/domain/customer"
	"github.com/57528e99/recount/domain/goods"
	"github.com/57528e99/recount/domain/money"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/queries"
)

// customersModule has the streams customer-{id}, with the address that mails go to, and what a customer ordered and returned. Who orders need not be
// registered.
func customersModule() app.Module {
	return app.Module{
		Name: "customers",
		Aggregates: []app.Aggregate{app.NewAggregate[customer.Customer, customer.Event](categoryCustomer, "/v1/customers").
			Events(
				app.Event[customer.Registered]("CustomerRegistered", 1),
				app.Event[customer.EmailChanged]("CustomerEmailChanged", 1)).
			Commands(
				app.Create[customer.Register]("register", app.Body(register)),
				app.Do[customer.ChangeEmail]("change-email", app.Body(changeEmail)))},
		Projections: []projections.Projection{customerHistory},
		Problems: []httpapi.DomainProblem{
			{Err: customer.ErrAlreadyRegistered, Kind: kindCustomerExists},
			{Err: customer.ErrNotRegistered, Kind: kindCustomerNotFound},
		},
		Routes: func(s *app.Service, a *httpapi.API) {
			// ?limit=&after=
			httpapi.Read(a, "/v1/customers/{id}", historyPageOf, reads{s}.customer)
		},
	}
}

type registerBody struct {
	atBody
	ID string `json:"id"`
	// Email is where mails to the customer go. It is null or left out if there is no address.
	Email *string `json:"email"`
}

func register(r *app.Request, b registerBody) (customer.Register, error) {
	b.request(r)
	return customer.Register{ID: r.ID, Email: b.Email, At: r.At}, goods.CheckID("/id", r.ID)
}

type emailBody struct {
	atBody
	// Email is the new address. It is null or left out for none.
	Email *string `json:"email"`
}

func changeEmail(r *app.Request, b emailBody) (customer.ChangeEmail, error) {
	b.request(r)
	if goods.CheckID("/id", r.ID) != nil {
		return customer.ChangeEmail{}, customer.ErrNotRegistered
	}
	return customer.ChangeEmail{Email: b.Email, At: r.At}, nil
}

// customerView is what is known of a customer: totals over everything, and a
// page of the history.
type customerView struct {
	CustomerID string          `json:"customer_id"`
	Totals     []customerTotal `json:"totals"`
	httpapi.Page[historyView]
}

// customerTotal adds up a customer's orders and returns in one currency.
type customerTotal struct {
	Currency string `json:"currency"`
	// Orders counts those that were not cancelled.
	Orders    int64 `json:"orders"`
	Cancelled int64 `json:"cancelled"`
	Returns   int64 `json:"returns"`
	// The amounts are as in sales.
	GrossMinor   int64 `json:"gross_minor"`
	RefundsMinor int64 `json:"refunds_minor"`
	NetMinor     int64 `json:"net_minor"`
}

// historyView is an order or a return in a customer's history.
type historyView struct {
	Kind       string    `json:"kind"`
	ID         string    `json:"id"`
	At         time.Time `json:"at"`
	Country    string    `json:"country"`
	Currency   string    `json:"currency"`
	Status     string    `json:"status"`
	TotalMinor int64     `json:"total_minor"`
}

// historyPage is a page of a customer's history.
type historyPage struct {
	limit int
	after string
}

func historyPageOf(p *httpapi.Params) historyPage {
	presentOnly(p)
	return historyPage{limit: p.Limit(queries.DefaultLimit, queries.MaxLimit), after: p.Cursor("after")}
}

// customer answers with a customer that has registered, ordered or returned something; there
// are no others. Page and totals are read one after the other, so that what comes
// in between may be in one of them only.
func (r reads) customer(ctx context.Context, in httpapi.ReadRequest[historyPage]) (customerView, error) {
	v := customerView{CustomerID: in.Path("id")}
	page, err := queries.Find(ctx, r.Reader, customerHistory, queries.List{
		Where:   map[string]any{"customer_id": v.CustomerID},
		OrderBy: "at",
		Desc:    true,
		Limit:   in.Params.limit,
		Cursor:  in.Params.after,
		Token:   in.Token,
	})
	if err != nil {
		return v, err
	}
	v.Next = httpapi.Cursor(page.Next)
	for _, item := range page.Items {
		k, row := item.Key, item.Row
		v.Items = append(v.Items, historyView{k.Kind, k.ID, row.At, row.Country, row.Currency, row.Status, row.TotalMinor})
	}
	v.Totals, err = r.customerTotals(ctx, v.CustomerID, in.Token)
	if err == nil && len(v.Totals) == 0 {
		v.Totals = []customerTotal{} // not null
		err = r.isRegistered(ctx, v.CustomerID)
	}
	return v, err
}

// isRegistered returns an error unless the customer has registered, which is in no read model.
func (r reads) isRegistered(ctx context.Context, id string) error {
	if goods.CheckID("/id", id) != nil {
		return queries.ErrNotFound
	}
	_, version, err := r.Commands.State(ctx, categoryCustomer+"-"+id, commands.Moment{})
	if err == nil && version < 0 {
		return queries.ErrNotFound
	}
	return err
}

// customerTotalsSQL adds up what a page of the history does not show. As in
// sums, an amount that is out of bounds comes out as the first one that is.
var customerTotalsSQL = fmt.Sprintf(`
	SELECT currency, orders, cancelled, returns, gross_minor, refunds_minor, gross_minor - refunds_minor AS net_minor
	FROM (
		SELECT currency,
			count(*) FILTER (WHERE kind = 'order' AND status <> 'cancelled') AS orders,
			count(*) FILTER (WHERE kind = 'order' AND status = 'cancelled') AS cancelled,
			count(*) FILTER (WHERE kind = 'return') AS returns,
			least(coalesce(sum(total_minor) FILTER (WHERE kind = 'order' AND status <> 'cancelled'), 0), %[1]d)::bigint AS gross_minor,
			least(coalesce(sum(total_minor) FILTER (WHERE kind = 'return'), 0), %[1]d)::bigint AS refunds_minor
		FROM {%[2]s}
		WHERE customer_id = $1
		GROUP BY currency
	) AS sums
	ORDER BY currency`, int64(money.Max+1), customerHistory.Name())

func (r reads) customerTotals(ctx context.Context, customerID string, token eventstore.Token) ([]customerTotal, error) {
	totals, err := queries.SQL[customerTotal](ctx, r.Reader, token, customerTotalsSQL, customerID)
	if err != nil {
		return nil, err
	}
	for _, t := range totals {
		if t.GrossMinor > money.Max || t.RefundsMinor > money.Max {
			return nil, fmt.Errorf("totals of customer %s in %s: %w", customerID, t.Currency, money.ErrOverflow)
		}
	}
	return totals, nil
}
