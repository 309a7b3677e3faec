// Package invariants says what holds for the shop, however its orders are checked out: that each comes to one end, at which its money, its
// goods and its shipment agree, and that the stock adds up. "recount verify" looks whether it does.
//
// It knows the events of the services and none of the services. An order is checked out if somebody else than a person had a hand in it: it
// has a payment, a shipment, a reservation of all its lines, or a saga. Others are confirmed and shipped by people, who reserve and commit as
// they like; of them only what is reserved is looked at.
//
// An order that is neither where a checkout leaves it nor at an end is under way. What is missing is wrong once nothing has happened to the
// order for long.
package invariants
