// Package auth finds out who sends a request, for httpapi.Config.Authenticate.
package auth

import (
	"context"
	"net/http"
	"strings"

	"github.com/57528e99/recount/security"
)

// Verifier knows who a token is, or returns a *security.Unauthenticated: *tokens.Store.
type Verifier interface {
	Verify(ctx context.Context, token string) (security.Principal, error)
}

// Bearer returns what asks v who has the token in the header Authorization: Bearer TOKEN.
func Bearer(v Verifier) func(*http.Request) (security.Principal, error) {
	return func(r *http.Request) (security.Principal, error) {
		values := r.Header.Values("Authorization")
		if len(values) == 0 {
			return security.Principal{}, &security.Unauthenticated{Reason: security.ReasonMissing}
		}
		scheme, token, _ := strings.Cut(values[0], " ")
		if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") {
			return security.Principal{}, &security.Unauthenticated{Reason: security.ReasonMalformed}
		}
		return v.Verify(r.Context(), strings.Trim(token, " "))
	}
}
