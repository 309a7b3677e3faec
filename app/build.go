package app

import (
	"cmp"
	"runtime"
	"runtime/debug"

	"github.com/57528e99/recount/migrations"
)

// Build says what a program is.
type Build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"` // built from files that are not in the revision
	Go       string `json:"go"`
	Platform string `json:"platform"`
	// Schema is the version of the tables that this program works with.
	Schema uint `json:"schema"`
}

// BuildOf returns what this program is, which runs an App.
func BuildOf(a App) Build {
	b := Build{Version: cmp.Or(a.Version, "unknown"), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, Schema: migrations.Latest()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Version = cmp.Or(a.Version, info.Main.Version)
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
