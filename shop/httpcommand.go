package shop

import (
	"context"
	"time"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/httpapi"
)

// timed is the body of every command.
type timed interface {
	// businessTime is when it happened, if the client says so.
	businessTime() httpapi.Time
}

// atBody is the part that all bodies share.
type atBody struct {
	At httpapi.Time `json:"at"`
}

func (b atBody) businessTime() httpapi.Time { return b.At }

// command returns what runs a command that came over HTTP. Id says which
// aggregate it is for, build what it asks of it.
func command[S any, E commands.Event[S], B timed](
	handler *commands.Handler[S, E],
	id func(httpapi.CommandRequest[B]) (string, error),
	build func(id string, body B, at time.Time) commands.Command[S, E],
) func(context.Context, httpapi.CommandRequest[B]) (commands.Result, error) {
	return func(ctx context.Context, in httpapi.CommandRequest[B]) (commands.Result, error) {
		key, err := id(in)
		if err != nil {
			return commands.Result{}, err
		}
		in.Options.At = in.Body.businessTime().Or(in.Now)
		return handler.Handle(ctx, key, build(key, in.Body, in.Options.At), in.Options)
	}
}
