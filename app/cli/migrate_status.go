package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// schemaStatus is what migrate status prints, as JSON.
type schemaStatus struct {
	Schema  string `json:"schema"`
	Current uint   `json:"current"`
	Latest  uint   `json:"latest"`
	Pending bool   `json:"pending"`
	Dirty   bool   `json:"dirty"`
	// Module is whose tables they are; empty: the log's.
	Module string `json:"module,omitempty"`
	// Modules are those that have tables of their own.
	Modules []schemaStatus `json:"modules,omitempty"`
}

func (prog *Program) migrateStatus(d *migrating) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say which version the tables are at; exit code 8 if they are behind or dirty",
		Args:  NoArgs,
	}
	out := OutputFlag(cmd)
	cmd.RunE = d.located(func(ctx context.Context, dsn string) error {
		sets, err := d.sets()
		if err != nil {
			return err
		}
		var all []schemaStatus
		var found error
		for _, set := range sets {
			now, err := set.Status(ctx, dsn, d.schema)
			if err != nil {
				return err
			}
			all = append(all, schemaStatus{Schema: d.schema, Current: now.Current, Latest: now.Latest, Pending: now.Pending(),
				Dirty: now.Dirty, Module: now.Module})
			found = cmp.Or(found, now.Check(d.schema))
		}
		status := all[0]
		status.Modules = all[1:]
		err = out.Print(prog.Stdout, status, func(w io.Writer) {
			fmt.Fprintln(w, "SCHEMA\tCURRENT\tLATEST\tPENDING\tDIRTY")
			for _, s := range all {
				of := s.Schema
				if s.Module != "" {
					of += ", module " + s.Module
				}
				fmt.Fprintf(w, "%s\t%d\t%d\t%t\t%t\n", of, s.Current, s.Latest, s.Pending, s.Dirty)
			}
		})
		if err != nil {
			return err
		}
		if found != nil {
			return &Failure{ExitCheckFailed, found, prog.hintFor(found)}
		}
		return nil
	})
	return cmd
}
