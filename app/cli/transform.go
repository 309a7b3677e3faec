package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/delivery/transform"
	"github.com/57528e99/recount/httpapi/adminapi"
)

func (prog *Program) transformCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "transform", Short: "Try the transforms of subscriptions"}
	d := prog.databaseFlags(cmd, "a server has the event, see --server")
	return Group(cmd, prog.transformTest(d))
}

func (prog *Program) transformTest(d *database) *cobra.Command {
	var jsonata, event, enriched string
	var each bool
	cmd := &cobra.Command{
		Use:   "test FILE | --jsonata EXPRESSION",
		Short: "Say what becomes of an event; exit code 8 if the transform fails on it",
		Long: `Say what becomes of an event: the bodies, a line each, or that it is dropped. Exit code 8 if the transform fails on it.
FILE has the transform as JSON, or a definition of a subscription that has one; - is stdin. The event is a JSON
object as it is delivered, such as a line of log tail -o json: by default the sample of the transform. Nothing is
looked up for it: what is beside it is its member enriched, or --enriched.`,
		Example: `  {program} transform test subscription.json --event 1200
  {program} log tail -n 1 -o json | {program} transform test --jsonata '{"order": data.id}' --event -`,
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		switch {
		case (jsonata == "") != (len(args) == 1) || len(args) > 1:
			return UsageError(cmd, "%s needs a file, or --jsonata", cmd.CommandPath())
		case each && jsonata == "":
			return UsageError(cmd, "--each goes with --jsonata: a file says it by itself")
		case len(args) == 1 && args[0] == "-" && event == "-":
			return UsageError(cmd, "stdin can be the transform or the event, not both")
		}
		return nil
	}
	out := OutputFlag(cmd)
	target := targetFlags(cmd, d)
	flags := cmd.Flags()
	flags.StringVar(&jsonata, "jsonata", "", "the transform, an expression")
	flags.BoolVar(&each, "each", false, "with --jsonata: a body of each element of an array")
	flags.StringVar(&event, "event", "", "the event: JSON, @FILE, - for stdin, or the position or id of one in the log")
	flags.StringVar(&enriched, "enriched", "", "what is beside the event, a JSON object by the names of enrichments, or @FILE")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		config := transform.Config{JSONata: jsonata, Each: each}
		if len(args) == 1 {
			text, err := prog.readFile(args[0])
			if err != nil {
				return err
			}
			if config, err = transformIn(text); err != nil {
				return Fail(ExitUsage, fmt.Errorf("%s: %w", args[0], err), "")
			}
		}
		text := []byte(config.Sample)
		var err error
		if event != "" {
			if text, err = prog.readEvent(event); err != nil {
				return err
			}
		}
		if text == nil {
			return UsageError(cmd, "give --event, as the transform has no sample")
		}
		var beside jsontext.Value
		if enriched != "" {
			if beside, err = readArgument(prog, "enriched", enriched, jsonObject); err != nil {
				return err
			}
		}
		made, err := target.transform(cmd.Context(), config, text, beside)
		if err != nil {
			return err
		}
		if err := out.Print(prog.Stdout, made, func(w io.Writer) { transformedTable(w, made) }); err != nil || made.Error == "" {
			return err
		}
		return Fail(ExitCheckFailed, errors.New(made.Error), "")
	}
	return cmd
}

// transformIn returns the transform of a file, which may be that of a definition.
func transformIn(text []byte) (c transform.Config, err error) {
	var definition struct{ Transform jsontext.Value }
	if err := json.Unmarshal(text, &definition); err != nil {
		return c, err
	}
	if definition.Transform != nil {
		text = definition.Transform
	}
	return c, json.Unmarshal(text, &c)
}

// readEvent returns an event that an argument names: JSON of an object, or of a position or an id.
func (prog *Program) readEvent(argument string) ([]byte, error) {
	if n, err := strconv.ParseInt(argument, 10, 64); err == nil && n > 0 {
		return []byte(strconv.FormatInt(n, 10)), nil
	}
	if id, err := uuid.Parse(argument); err == nil {
		return []byte(strconv.Quote(id.String())), nil
	}
	return readArgument(prog, "event", argument, func(text []byte) ([]byte, error) {
		if text, err := jsonObject(text); err == nil {
			return text, nil
		}
		return nil, errors.New("it must be a JSON object, @FILE, or the position or id of an event")
	})
}

func jsonObject(text []byte) (jsontext.Value, error) {
	if v := jsontext.Value(text); v.Kind() != '{' || !v.IsValid() {
		return nil, errors.New("it must be a JSON object, or @FILE")
	}
	return text, nil
}

// transform returns what becomes of an event, which is asked for only if it is in the log.
func (t *target) transform(ctx context.Context, config transform.Config, event, beside jsontext.Value) (made adminapi.Transformed, err error) {
	compiled, err := transform.Compile(config)
	if err != nil {
		return made, Fail(ExitUsage, err, "")
	}
	if event.Kind() == '{' {
		event, err := adminapi.Enriched(event, beside)
		if err != nil {
			return made, Fail(ExitUsage, err, "")
		}
		return adminapi.NewTransformed(compiled, event), nil
	}
	return made, t.do(ctx, func() error {
		body := map[string]any{"transform": config, "event": event}
		if beside != nil {
			body["enriched"] = beside
		}
		return t.client.call(ctx, http.MethodPost, "/v1/transforms/test", body, &made)
	}, func(s *app.Service) error {
		text, err := adminapi.EventOf(ctx, s.Subscriptions, event)
		if err == nil {
			text, err = adminapi.Enriched(text, beside)
		}
		if err == nil {
			made = adminapi.NewTransformed(compiled, text)
		}
		return err
	})
}

func transformedTable(w io.Writer, made adminapi.Transformed) {
	if len(made.Bodies) == 0 && made.Error == "" {
		fmt.Fprintln(w, "dropped")
	}
	for _, body := range made.Bodies {
		fmt.Fprintf(w, "%s\n", body)
	}
}
