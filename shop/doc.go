// Package shop is the reference application: orders, stock and returns of a
// shop, from a command over HTTP to a read model.
//
// It holds no rules, those are in domain, and no machinery. App, in app.go, is its table of
// contents.
//
// Each thing is a module and has two files: orders.go has the rows of orders and the fold that
// makes them, orders_http.go the module, its commands and events, and the bodies and answers of its
// routes. problems.go has what a refusal becomes over HTTP. sales_sql.go has the statement that
// adds sales up.
//
// Three services react to events, and know nothing else of the modules: notification writes to customers, inventory releases what cancelled
// orders have reserved and tells who buys when there is little left, ledger keeps the books of what was taken and given back. The metrics shop_orders, shop_revenue_minor and shop_refunds_minor are
// read from the sales, which events make. Who orders with an address (email), or is a customer who has one, gets a mail when the order is
// placed, for each event that changes its status, and for a refund. Orders without one are passed over; shop_order_events_total counts them. Mails go to the mail
// server of the process (serve --mail-server); without one the log says which are not sent. A mail may be repeated if a process
// dies: with the same Message-ID.
//
// Services that others ask are payment, over a payment gateway, and shipping. Package checkout has them do their part for each order, in one of
// three ways: App has it not, WithCheckout has.
//
// Sales are counted per day in UTC. An order counts, with its units and its
// amount, on the day it was placed; cancelled, it is taken out of that day
// again, whenever that happens. A refund counts on the day of the return, and
// net is gross less refunds. Amounts of different currencies are never added.
// An amount or a number of units beyond ±(2^53−1) is an error, since JSON could
// not carry it: it stops the projection that would have to keep it.
package shop
