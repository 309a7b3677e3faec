package chaos

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/57528e99/recount/tests/mutants"
)

// build builds the programs that were not given.
func (r *run) build(ctx context.Context) error {
	if r.config.Recount == "" {
		r.report.Commit = commit(ctx)
	}
	overlay, err := r.overlay(ctx)
	if err != nil {
		return err
	}
	for path, source := range map[*string]string{
		&r.config.Recount: "cmd/recount", &r.config.Worker: "tests/chaos/cmd/chaos",
	} {
		if *path != "" {
			continue
		}
		*path = filepath.Join(r.dir, filepath.Base(source))
		if err := Build(ctx, *path, source, overlay...); err != nil {
			return err
		}
	}
	return nil
}

// overlay returns what puts the mutant into the product, if the run is of one.
func (r *run) overlay(ctx context.Context) (flags []string, err error) {
	if r.config.Mutant == "" {
		return nil, nil
	}
	m, err := mutants.Named(r.config.Mutant)
	if err != nil {
		return nil, err
	}
	root, err := Root(ctx)
	if err != nil {
		return nil, err
	}
	flag, err := m[0].Overlay(root, r.dir)
	return []string{flag}, err
}

// Build builds a program of this module, given by its folder, with failpoints.
func Build(ctx context.Context, path, source string, flags ...string) error {
	root, err := Root(ctx)
	if err != nil {
		return err
	}
	args := append([]string{"build", "-tags", "failpoints", "-o", path}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, "./"+source)...)
	cmd.Dir, cmd.Stderr = root, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build %s: %w", source, err)
	}
	return nil
}

// Root returns the folder of this module.
func Root(ctx context.Context) (string, error) {
	dir, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/57528e99/recount").Output()
	if err != nil {
		return "", fmt.Errorf("find the source: run this in the module, or give the programs: %w", err)
	}
	return strings.TrimSpace(string(dir)), nil
}

// commit names the commit of the source, and says whether it was changed since. It is empty if that
// is not known, such as without git.
func commit(ctx context.Context) string {
	dir, err := Root(ctx)
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
