// Package webhook is the target that sends events as HTTP requests. What a receiver gets, what its answers mean
// and what it has to do stands in docs/targets.md.
//
// An attempt is one request, or two if the first is answered 401 and there are newer credentials. Redirects are
// not followed, and proxies of the environment not used. A connection is made to public addresses only, and to
// those that New is told of: what is looked at is the address that is dialed, so a name that is resolved to
// another address later gets nowhere.
//
// Secrets are read when they are used, and are in no error and no answer that is kept.
package webhook
