package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
)

func (prog *Program) commandsRun() *cobra.Command {
	var c operationsClient
	var data, key string
	var expected int64
	var dry bool
	cmd := &cobra.Command{
		Use:   "run NAME [ID]",
		Short: "Run a command on a running server, by its name",
		Long: `Run a command on a running server, by its name. The body is --data, as JSON, or stdin for -. Run again with
the same --key it gets the first answer; without one a key is made up, and printed with an answer that is no
success.`,
		Example: "  {program} commands run order.cancel 42 --data '{\"reason\":\"none left\"}'\n" +
			"  {program} commands run stock.receive TEA-1 --data '{\"quantity\":5}' --dry-run --header X-Forwarded-User=ann",
		Args: ArgsBetween(1, 2),
	}
	flags := cmd.Flags()
	c.flags(prog, flags, "address of the server")
	flags.StringVar(&data, "data", "{}", "body of the command, as JSON; - is stdin")
	flags.StringVar(&key, "key", "", "idempotency key (default one made up)")
	flags.Int64Var(&expected, "expected-version", 0, "version that the stream must be at, -1: it must not be there (default any)")
	flags.BoolVar(&dry, "dry-run", false, "write nothing, and print the events that would be appended")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		text := []byte(data)
		if data == "-" {
			var err error
			if text, err = io.ReadAll(prog.Stdin); err != nil {
				return err
			}
		}
		if !json.Valid(text) {
			return UsageError(cmd, "--data must be JSON, it is %s", Cell(string(text), 100))
		}
		madeUp := key == ""
		if madeUp {
			key = uuid.NewString()
		}
		body := map[string]any{"type": args[0], "data": json.RawMessage(text), "key": key}
		if len(args) > 1 {
			body["id"] = args[1]
		}
		if flags.Changed("expected-version") {
			body["expected_version"] = expected
		}
		path := "/v1/commands"
		if dry {
			path += "?dry_run=1"
		}
		var answer json.RawMessage
		if err := c.call(cmd.Context(), http.MethodPost, path, body, &answer); err != nil {
			if madeUp && !dry { // it may have been done, or be under way
				fmt.Fprintf(prog.Stderr, "the key of this command is %s\n", key)
			}
			return err
		}
		return encoder(prog.Stdout).Encode(answer)
	}
	return cmd
}
