package delivery

import (
	"context"
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/operations"
)

// maxDefinitions is how many definitions a file may have.
const maxDefinitions = 10_000

// ParseDefinitions reads the definitions of a file: {"subscriptions":[…]}, or one alone. Each has a name, and no two the same.
//
// The error is an *InvalidError. Its pointers are those of the file.
func ParseDefinitions(text []byte) ([]Definition, error) {
	var file struct {
		Subscriptions []jsontext.Value `json:"subscriptions"`
		Others        jsontext.Value   `json:",embed"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, &InvalidError{"", []*FieldError{fieldError(err)}}
	}
	switch {
	case file.Subscriptions == nil:
		d, err := ParseDefinition(text, "")
		return []Definition{d}, err
	case file.Others != nil:
		return nil, &InvalidError{"", []*FieldError{{"", `must have no other member beside "subscriptions"`}}}
	case len(file.Subscriptions) > maxDefinitions:
		return nil, &InvalidError{"", []*FieldError{{"/subscriptions", fmt.Sprintf("must be at most %d", maxDefinitions)}}}
	}
	var mistakes []*FieldError
	names := make(map[string]int)
	all := make([]Definition, len(file.Subscriptions))
	for i, one := range file.Subscriptions {
		at := "/subscriptions/" + strconv.Itoa(i)
		d, err := ParseDefinition(one, "")
		if err != nil {
			mistakes = append(mistakes, mistakesOf(err, at)...)
			continue
		}
		if twice := named(names, i, d.Name); twice != nil {
			mistakes = append(mistakes, twice)
		}
		all[i] = d
	}
	if len(mistakes) > 0 {
		return nil, &InvalidError{"", mistakes}
	}
	return all, nil
}

// named adds the name of a definition to those before it, and returns what is wrong if it is one of them.
func named(names map[string]int, i int, name string) *FieldError {
	if other, twice := names[name]; twice {
		return &FieldError{fmt.Sprintf("/subscriptions/%d/name", i), fmt.Sprintf("must be another than that of /subscriptions/%d", other)}
	}
	names[name] = i
	return nil
}

// mistakesOf returns the mistakes of an *InvalidError with their pointers in a file.
func mistakesOf(err error, at string) (all []*FieldError) {
	for _, m := range err.(*InvalidError).Mistakes {
		all = append(all, &FieldError{at + m.Pointer, m.Reason})
	}
	return all
}

// ApplyOptions are the choices of Apply.
type ApplyOptions struct {
	// Prune removes the subscriptions of the App that the definitions lack, but those that programs declare and those with
	// WebhookPrefix. The Admin must be that of an App.
	Prune bool
	// Force removes them with their dead letters. Default: Apply fails then, and does nothing.
	Force bool
	// DryRun says what would be done, and does nothing.
	DryRun bool
	Actor  string
}

// Apply makes the subscriptions of the App what the definitions say. It says what it did, in the order of the definitions, with
// what was removed behind. The same again changes nothing. All are looked at before the first is changed.
//
// Errors: those of Put and Delete; *InvalidError for two of one name; operations.ErrInvalid.
func (a *Admin) Apply(ctx context.Context, all []Definition, o ApplyOptions) ([]Change, error) {
	if o.Prune && a.records.app == "" {
		return nil, fmt.Errorf("apply definitions: %w", operations.InvalidOption("prune", "needs the name of an app, whose subscriptions are meant"))
	}
	names := make(map[string]int)
	for i, d := range all {
		if twice := named(names, i, d.Name); twice != nil {
			return nil, fmt.Errorf("apply definitions: %w", &InvalidError{"", []*FieldError{twice}})
		}
	}
	changes, err := a.apply(ctx, all, o, true)
	if err == nil && !o.DryRun {
		changes, err = a.apply(ctx, all, o, false)
	}
	if err != nil {
		return nil, fmt.Errorf("apply definitions: %w", err)
	}
	return changes, nil
}

func (a *Admin) apply(ctx context.Context, all []Definition, o ApplyOptions, dryRun bool) ([]Change, error) {
	changes := make([]Change, 0, len(all))
	names := make([]string, 0, len(all))
	for _, d := range all {
		c, err := a.Put(ctx, d, PutOptions{Actor: o.Actor, DryRun: dryRun})
		if err != nil {
			return changes, err
		}
		changes, names = append(changes, c), append(names, d.Name)
	}
	if !o.Prune {
		return changes, nil
	}
	surplus, err := a.surplus(ctx, names)
	if err != nil {
		return changes, err
	}
	for _, name := range surplus {
		c := Change{Subscription: name, Done: Deleted, DryRun: dryRun}
		err := a.steer(ctx, "delete", name, func(tx pgx.Tx, s *found) (bool, error) {
			c.Revision = s.revision
			if err := a.remove(ctx, tx, s, o.Force, o.Actor); err != nil || !dryRun {
				return true, err
			}
			return false, errDryRun
		})
		if err != nil {
			return changes, err
		}
		changes = append(changes, c)
	}
	return changes, nil
}

const surplusSQL = `
SELECT name FROM {schema}.subscriptions
WHERE app = $1 AND NOT declared AND replay_of IS NULL AND NOT starts_with(name, '` + WebhookPrefix + `') AND name <> ALL ($2) ORDER BY name`

// surplus returns the subscriptions of the App that have none of the names and are neither declared by programs nor webhooks.
func (a *Admin) surplus(ctx context.Context, names []string) ([]string, error) {
	rows, err := a.records.pool.Query(ctx, a.records.sql(surplusSQL), a.records.app, names)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
