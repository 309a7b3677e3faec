// Package onlineretail brings the orders of a real shop into a running server:
// "Online Retail" by Daqing Chen (UCI Machine Learning Repository, 2015,
// CC BY 4.0, https://archive.ics.uci.edu/dataset/352/online+retail), the invoices
// of a British gift shop from December 2010 to December 2011.
//
// Read turns the file into a Book, Import sends the book to the server as
// commands over HTTP, and Verify compares what the server says it sold with what
// the book says.
//
// # The file
//
// It is CSV in UTF-8, gzipped or not, with the columns InvoiceNo, StockCode,
// Description, Quantity, InvoiceDate (RFC 3339, or 2010-12-01 08:26:00 in UTC),
// UnitPrice (pounds, at most two decimals), CustomerID (empty for a guest) and
// Country, in any order. A line is
//
//   - one of an order, if InvoiceNo is of digits and Quantity above 0,
//   - a stock adjustment, if InvoiceNo is of digits and Quantity below 0,
//   - one of a return, if InvoiceNo is C and digits and Quantity below 0: goods
//     or a discount given back.
//
// The repository has a spreadsheet. Saved as CSV in UTF-8, with dates such as
// 2010-12-01 08:26:00, it is such a file but for a few lines that are none of the
// three, e.g. bad debts. Read names them, to be corrected or left out.
//
// # The commands
//
// Before the first time that an article leaves the shelf, one receive takes in as
// much of it as the file takes out in all. An order is placed, all its articles
// are reserved, then it is confirmed and shipped, all its articles are committed,
// and it is completed. Invoices run side by side; nothing else is ordered.
//
// Each command has an idempotency key of its own, made of the invoice number, and
// the same payload on every run: a second run changes nothing, and one that was
// cut off is finished by the next, as long as the server keeps the keys.
package onlineretail
