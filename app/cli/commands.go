package cli

import (
	"context"
	"net/http"

	"github.com/spf13/cobra"
)

func (prog *Program) commandsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "commands", Short: "List the commands of a running server, and run one"}
	return Group(cmd, prog.commandsList(), prog.commandsShow(), prog.commandsRun())
}

// command is a command as a server lists it.
type command struct {
	Name   string   `json:"name"`
	Method string   `json:"method"`
	Path   string   `json:"path"`
	Body   []member `json:"body"`
}

// member is a member of a body.
type member struct {
	Name    string   `json:"name"`
	Type    string   `json:"type"`
	Members []member `json:"members,omitempty"`
}

// commands returns those of the server.
func (c *operationsClient) commands(ctx context.Context) ([]command, error) {
	var all struct{ Commands []command }
	err := c.call(ctx, http.MethodGet, "/v1/commands", nil, &all)
	return all.Commands, err
}
