// Package wire is what a client that means no good does to an API of package httpapi, whatever that is
// about.
//
// GET / says which routes there are, with their members and parameters: IndexRoute.Call makes calls
// of that, so that a new route is attacked without a word about it here. A valid call is made
// nearly valid by one mutation, which says which problem the answer must be; some mutations change
// nothing that counts, such as the order of members. Wild calls have several, and only have to be
// answered in good order, as raw connections have.
//
// Every answer must be below 500, but for 503 projection-behind to a read that did not want to
// wait; every
// 4xx a problem with a hint, whose type opens a page. What is not so is a *Failure, with the request as a
// line for curl. A seed makes the same requests per worker again, as far as the answers are the
// same.
package wire
