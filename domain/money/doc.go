// Package money adds up amounts of money without ever being wrong by a penny.
//
// An amount is an int64 in the minor unit of its currency (pence, cents, whole
// yen). There are no floats. Amounts travel as JSON numbers, and many readers
// of JSON keep numbers as doubles, so an amount outside ±Max is ErrOverflow,
// even where an int64 could hold it.
//
// An amount has its currency beside it, once per order or return, and is never
// added to one of another currency: whoever sums over many keeps a sum per
// currency.
package money
