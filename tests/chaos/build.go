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
	if r.config.Recount == "" {
		r.report.Commit = commit(ctx)
	}
	for path, source := range map[*string]string{
		&r.config.Recount: "cmd/recount", &r.config.Worker: "tests/chaos/cmd/chaos",
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
	root, err := root(ctx)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-tags", "failpoints", "-o", path, "./"+source)
	cmd.Dir, cmd.Stderr = root, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build %s: %w", source, err)
	}
	return nil
}

// root returns the folder of this module.
func root(ctx context.Context) (string, error) {
	dir, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/57528e99/recount").Output()
	if err != nil {
		return "", fmt.Errorf("find the source: run this in the module, or give the programs: %w", err)
	}
	return strings.TrimSpace(string(dir)), nil
}

// commit names the commit of the source, and says whether it was changed since. It is empty if that
// is not known, such as without git.
func commit(ctx context.Context) string {
	dir, err := root(ctx)
	if err != nil {
		return ""
	}
	git := func(args ...string) (string, error) {
		text, err := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...).Output()
		return strings.TrimSpace(string(text)), err
	}
	name, err := git("rev-parse", "--short=12", "HEAD")
	if err != nil {
		return ""
	}
	if changed, err := git("status", "--porcelain", "--", "*.go", "*.sql", "go.mod"); err != nil || changed != "" {
		name += ", with changes"
	}
	return name
}
