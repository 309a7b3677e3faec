package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/migrations"
)

// build says what this program is.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"` // built from files that are not in the revision
	Go       string `json:"go"`
	Platform string `json:"platform"`
	// Schema is the version of the tables that this program works with.
	Schema uint `json:"schema"`
}

func readBuild() build {
	b := build{Version: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, Schema: migrations.Latest()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Version = info.Main.Version
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

func (a *app) versionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Say which program this is",
		Args:  noArgs,
	}
	out := outputFlag(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		b := readBuild()
		return out.print(a.stdout, b, func(w io.Writer) {
			fmt.Fprintf(w, "version\t%s\n", b.Version)
			if b.Revision != "" {
				fmt.Fprintf(w, "revision\t%s\n", b.Revision)
			}
			fmt.Fprintf(w, "go\t%s\nplatform\t%s\nschema\t%d\n", b.Go, b.Platform, b.Schema)
		})
	}
	return cmd
}
