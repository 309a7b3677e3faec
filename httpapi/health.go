package httpapi

import (
	"context"
	"net/http"
	"strings"

	"github.com/57528e99/recount/security"
)

// check is a condition for being ready.
type check struct {
	name string
	run  func(context.Context) error
}

// checkResult is a line of what /readyz?verbose answers.
type checkResult struct {
	Name  string `json:"name"`
	OK    bool   `json:"ok"`
	Error string `json:"error,omitzero"`
	Hint  string `json:"hint,omitzero"`
}

// AddCheck adds a condition for /readyz to say that the server is ready, such
// as a database that can be reached. Its error is shown by /readyz?verbose, to whom
// Config.Actor admits, and to nobody else. It must be added before Handler is called, and must return
// when ctx ends.
func (a *API) AddCheck(name string, run func(context.Context) error) {
	a.checks = append(a.checks, check{name, run})
}

// detail is what /readyz?verbose shows besides the checks.
type detail struct {
	name string
	read func(context.Context) (any, error)
}

// AddDetail adds something to look at, as JSON, to what /readyz?verbose answers to whom
// Config.Actor admits; to anybody if there is none. If it cannot be had it is left out, and the server is as ready as the checks
// say. It must be added before Handler is called, and read must return when ctx
// ends.
func (a *API) AddDetail(name string, read func(context.Context) (any, error)) {
	a.details = append(a.details, detail{name, read})
}

// livez says that the process answers; restart it if it does not.
func (a *API) livez(x *exchange) error {
	if err := newParams(x.r.URL.RawQuery).err(); err != nil {
		return err
	}
	return x.writeJSON(http.StatusOK, health{Status: "ok"})
}

type health struct {
	Status  string         `json:"status"`
	Checks  []checkResult  `json:"checks,omitzero"`
	Details map[string]any `json:"details,omitzero"`
}

// readyz says whether to send requests here.
func (a *API) readyz(x *exchange) error {
	params := newParams(x.r.URL.RawQuery)
	verbose := params.Flag("verbose")
	if err := params.err(); err != nil {
		return err
	}
	// The route is public, for who looks whether to send requests here. Only the rest asks who looks.
	x.quiet = true
	admitted := verbose && x.admit(&Route{Access: Access{Action: security.Read}}) == nil
	results := a.runChecks(x.r.Context())
	var failed []string
	for _, r := range results {
		if !r.OK {
			failed = append(failed, r.Name)
		}
	}
	switch {
	case verbose:
		state, status := health{Status: "ok", Checks: results}, http.StatusOK
		if len(failed) > 0 {
			state.Status, status = "not ready", http.StatusServiceUnavailable
		}
		if admitted {
			state.Details = a.readDetails(x.r.Context())
		} else {
			for i := range results {
				results[i].Error, results[i].Hint = "", ""
			}
		}
		return x.writeJSON(status, state)
	case len(failed) > 0:
		return kindNotReady.Problem("These checks fail: " + strings.Join(failed, ", ") + ".").withRetryAfter(1)
	}
	return x.writeJSON(http.StatusOK, health{Status: "ok"})
}

func (a *API) readDetails(ctx context.Context) map[string]any {
	ctx, cancel := context.WithTimeout(ctx, a.config.CheckTimeout)
	defer cancel()
	var details map[string]any // none are left out of the answer
	for _, d := range a.details {
		// What keeps it from being read, a check says.
		if value, err := d.read(ctx); err == nil {
			if details == nil {
				details = make(map[string]any)
			}
			details[d.name] = value
		}
	}
	return details
}

// runChecks runs the checks one after another: a panic of one then ends where
// that of any handler does.
func (a *API) runChecks(ctx context.Context) []checkResult {
	ctx, cancel := context.WithTimeout(ctx, a.config.CheckTimeout)
	defer cancel()
	results := []checkResult{{Name: "serving", OK: true}}
	if a.draining.Load() {
		results[0] = checkResult{Name: "serving", Error: "the server is being stopped"}
	}
	for _, c := range a.checks {
		r := checkResult{Name: c.name, OK: true}
		if err := c.run(ctx); err != nil {
			r.OK, r.Error, r.Hint = false, sanitize(err.Error()), a.config.Hint(err)
		}
		results = append(results, r)
	}
	return results
}
