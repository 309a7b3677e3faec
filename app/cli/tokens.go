package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/security"
	"github.com/57528e99/recount/security/tokens"
)

func (prog *Program) tokensCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tokens",
		Short: "Make, list and revoke the tokens that a server with --auth tokens asks for",
		Long: `Make, list and revoke the tokens that a server with --auth tokens asks for. They are in the database,
as hashes; what is done with them takes effect within a second in all servers, and is told in the
stream ` + tokens.AuditStream + `.`,
	}
	d := prog.withMost().databaseFlags(cmd, "that of the running {program} dev")
	return Group(cmd, prog.tokensCreate(d), prog.tokensList(d), prog.tokensRevoke(d))
}

// created is a token with its text.
type created struct {
	Text string `json:"token"`
	tokens.Token
}

// defaultTTL is for how long a token lives if nothing else is said.
const defaultTTL = 90 * 24 * time.Hour

func (prog *Program) tokensCreate(d *database) *cobra.Command {
	var roles []string
	n := tokens.New{}
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Make a token for NAME and print it, this once",
		Long: `Make a token for NAME, as events and operations will say who it was, and print it, this once. Two
tokens of a name live at once, so that one can be put in the place of the other: without --role the
second may do what the first may.

Roles: read (events, read models, how the server is), append (events past the rules of commands),
command, operate (projections, subscriptions, operations), admin (all). With --category or
--stream-prefix they are for that part of the log; GET / says what each route is about.`,
		Example: `  {program} tokens create warehouse --role read,command --category stock
  {program} tokens create tenant-7 --role append,read --stream-prefix tenant-7-
  {program} tokens create warehouse > new-token`,
		Args: OneArg("NAME"),
	}
	out := OutputFlag(cmd)
	flags := cmd.Flags()
	flags.StringSliceVar(&roles, "role", nil, "what it permits: "+strings.Join(roleNames(), ", ")+"; may be repeated")
	flags.StringSliceVar(&n.Scope.Categories, "category", nil, "category of streams that it is for; may be repeated (default all)")
	flags.StringSliceVar(&n.Scope.Prefixes, "stream-prefix", nil, "beginning of names of streams that it is for, such as tenant-7-; may be repeated (default all)")
	flags.DurationVar(&n.TTL, "expires", defaultTTL, "for how long; 0: until it is revoked")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		n.Name, n.By, n.Roles = args[0], actor(), nil
		for _, role := range roles {
			n.Roles = append(n.Roles, security.Action(role))
		}
		return d.withService(cmd.Context(), app.Options{}, func(s *app.Service) error {
			text, t, err := s.Tokens.Create(cmd.Context(), n)
			if err != nil {
				return tokenFailure(err, args[0])
			}
			if out.JSON() {
				return encoder(prog.Stdout).Encode(created{text, t})
			}
			fmt.Fprintf(prog.Stderr, "token %s of %s: %s; %s; %s. It is not shown again.\n", t.ID, t.Name, rolesOf(t), scopeOf(t), expiryOf(t))
			_, err = fmt.Fprintln(prog.Stdout, text)
			return err
		})
	}
	return cmd
}

func roleNames() (names []string) {
	for _, role := range security.Actions() {
		names = append(names, string(role))
	}
	return names
}

// tokenFailure is what to say of an error of Create or Revoke.
func tokenFailure(err error, what string) error {
	switch {
	case errors.Is(err, tokens.ErrTwoLive), errors.Is(err, tokens.ErrTooMany):
		return &Failure{ExitConflict, err, "{program} tokens revoke ID ends one of them; {program} tokens ls has their ids"}
	case errors.Is(err, tokens.ErrNotFound):
		return &Failure{ExitNotFound, fmt.Errorf("%q: %w", what, err), "{program} tokens ls has the ids"}
	case errors.Is(err, tokens.ErrInvalid):
		return &Failure{ExitUsage, err, "{program} tokens create --help"}
	}
	return err
}

func (prog *Program) tokensList(d *database) *cobra.Command {
	cmd := &cobra.Command{Use: "ls", Short: "List the tokens, with when they were used last, to the minute", Args: NoArgs}
	out := OutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return d.withService(cmd.Context(), app.Options{}, func(s *app.Service) error {
			all, err := s.Tokens.List(cmd.Context())
			if err != nil {
				return err
			}
			return out.Print(prog.Stdout, listOf(all), func(w io.Writer) {
				fmt.Fprintln(w, "ID\tNAME\tSTATE\tROLES\tSCOPE\tCREATED\tBY\tEXPIRES\tUSED")
				for _, t := range all {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", t.ID, Cell(t.Name, 40), t.State, rolesOf(t), Cell(scopeOf(t), 80),
						t.CreatedAt.UTC().Format(timeFormat), Cell(t.CreatedBy, 40), timeOr(t.ExpiresAt, "never"), timeOr(t.LastUsedAt, "never"))
				}
			})
		})
	}
	return cmd
}

func (prog *Program) tokensRevoke(d *database) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "revoke ID",
		Short: "End a token: servers refuse it within a second",
		Args:  OneArg("ID"),
	}
	out := OutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return d.withService(cmd.Context(), app.Options{}, func(s *app.Service) error {
			t, err := s.Tokens.Revoke(cmd.Context(), args[0], actor())
			if err != nil {
				return tokenFailure(err, args[0])
			}
			return out.Print(prog.Stdout, t, func(w io.Writer) { fmt.Fprintf(w, "token %s of %s is revoked\n", t.ID, t.Name) })
		})
	}
	return cmd
}

func rolesOf(t tokens.Token) string {
	names := make([]string, len(t.Roles))
	for i, role := range t.Roles {
		names[i] = string(role)
	}
	return strings.Join(names, ",")
}

// scopeOf says what a token is for, in a few words.
func scopeOf(t tokens.Token) string {
	if t.Scope.IsAll() {
		return "all"
	}
	var all []string
	for _, category := range t.Scope.Categories {
		all = append(all, "category "+category)
	}
	for _, prefix := range t.Scope.Prefixes {
		all = append(all, "streams "+prefix)
	}
	return strings.Join(all, ", ")
}

func expiryOf(t tokens.Token) string {
	if t.ExpiresAt == nil {
		return "it does not expire"
	}
	return "expires " + t.ExpiresAt.UTC().Format(time.DateOnly)
}

func timeOr(t *time.Time, none string) string {
	if t == nil {
		return none
	}
	return t.UTC().Format(timeFormat)
}
