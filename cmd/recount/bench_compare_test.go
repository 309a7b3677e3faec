package main

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestPeersAreFoundInAClone(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	peers := filepath.Join(root, "tests", "bench", "peers")
	for _, dir := range []string{root, peers, filepath.Join(root, "cmd", "recount")} {
		if found, err := findPeers(dir); err != nil || found != peers {
			t.Errorf("findPeers(%s) = %q, %v; want that of %s", dir, found, err, root)
		}
	}
	_, err = findPeers(t.TempDir())
	if exitCode(err) != exitNotFound || !strings.Contains(hintFor(err), "--peers none") {
		t.Errorf("outside of a clone: %v, exit code %d, hint %q", err, exitCode(err), hintFor(err))
	}
}
