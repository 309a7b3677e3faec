package chaos

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// build builds the programs that were not given.
func (r *run) build(ctx context.Context) error {
	for path, source := range map[*string]string{
		&r.config.Recount: "cmd/recount", &r.config.Worker: "internal/chaos/cmd/chaos",
	} {
		if *path != "" {
			continue
		}
		*path = filepath.Join(r.dir, filepath.Base(source))
		if err := Build(ctx, *path, source); err != nil {
			return err
		}
	}
	return nil
}

// Build builds a program of this module, given by its folder, with failpoints.
func Build(ctx context.Context, path, source string) error {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/57528e99/recount").Output()
	if err != nil {
		return fmt.Errorf("find the source: run this in the module, or give the programs: %w", err)
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-tags", "failpoints", "-o", path, "./"+source)
	cmd.Dir, cmd.Stderr = strings.TrimSpace(string(root)), os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build %s: %w", source, err)
	}
	return nil
}
