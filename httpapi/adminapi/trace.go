package adminapi

import (
	"context"

	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/queries"
)

var ofTraces = []httpapi.DomainProblem{
	{Err: queries.ErrNoTrace, Kind: kindEventNotFound},
}

// RegisterTrace adds the route by which operators see what led to what, to an API that was made with Problems, in a section of its own. Program
// is how the program is called on the command line, trace what answers.
func RegisterTrace(a *httpapi.API, program string, trace func(context.Context, queries.TraceQuery) (queries.Traced, error)) {
	a.Section("trace", inWordsOf(program, ofTraces)...)
	httpapi.Read(a, "/v1/trace/{id}", traceQueryOf, func(ctx context.Context, in httpapi.ReadRequest[queries.TraceQuery]) (queries.Traced, error) {
		q := in.Params
		q.ID = in.Path("id")
		q.Shows = in.Caller.Scope.HasStream
		return trace(ctx, q)
	})
	a.Access(httpapi.Access{Filtered: true})
}

func traceQueryOf(p *httpapi.Params) queries.TraceQuery {
	q := FlowQueryOf(p)
	q.Data = p.Flag("data")
	return q
}

// FlowQueryOf reads the parameters of routes that answer with a trace without data: limit and scan.
func FlowQueryOf(p *httpapi.Params) queries.TraceQuery {
	return queries.TraceQuery{
		MaxEvents: p.Limit(queries.DefaultTraceEvents, queries.MaxTraceEvents),
		MaxScan:   p.Int("scan", queries.DefaultTraceScan, 1, queries.MaxTraceScan),
	}
}
