// Package account keeps the books by double entry: money is never made or lost,
// it moves between accounts.
//
// A transaction has two entries or more, in one currency, that add up to zero:
//
//	receivable:card   +1745    debit, positive
//	sales             −1450    credit, negative
//	vat                −295
//
// The stream is a transaction's, not an account's. A transaction is then one
// event: it is posted whole or not at all, and once, for its id is used once. No
// two transactions wait for each other, although each sale is posted to the same
// few accounts. So no rule rests on a balance; balances are a sum over the log.
// Accounts that must not be overdrawn are another aggregate, with a stream each.
//
// An account is a name, which need not be opened, and has a balance for each
// currency. A transaction never changes; a mistake is put right by another, with
// the opposite entries.
//
// Input of a bad form is a *goods.InvalidError; an id that was used before is
// ErrAlreadyPosted.
package account
