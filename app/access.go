package app

import (
	"errors"

	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/httpapi/auth"
	"github.com/57528e99/recount/security/tokens"
)

// askForTokens lets the routes ask for tokens, if the options say so.
func (s *Service) askForTokens(config *httpapi.Config, o Options) error {
	if !o.RequireTokens {
		return nil
	}
	if s.Tokens == nil || s.App.Actor != nil {
		return errors.New("app: Options.RequireTokens is for an App without an Actor, on a database")
	}
	config.Authenticate = auth.Bearer(s.Tokens)
	if o.RateLimit > 0 {
		config.Authenticate = auth.Limited(config.Authenticate, o.RateLimit)
	}
	s.refusals = tokens.NewRefusals(s.Log, s.App.Name, func(err error) { s.Logger.Warn().Err(err).Msg("telling the log of refusals was interrupted") })
	config.Refused = s.refused
	return nil
}

// refused tells of a request that was refused for who sent it.
func (s *Service) refused(r httpapi.Refusal) {
	s.Metrics.Refused(r)
	s.refusals.Add(tokens.Refusal{
		Principal: r.Principal, Reason: r.Reason, Token: r.Token, Action: r.Action, Resource: r.Resource, Method: r.Method, Route: r.Route,
	})
}
