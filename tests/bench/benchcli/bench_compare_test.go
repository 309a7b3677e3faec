package benchcli

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/57528e99/recount/app/cli"
)

func TestPeersAreFoundInAClone(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../../..")
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
	var failed *cli.Failure
	if cli.ExitCode(err) != cli.ExitNotFound || !errors.As(err, &failed) || !strings.Contains(failed.Advice, "--peers none") {
		t.Errorf("outside of a clone: %v, exit code %d, want advice", err, cli.ExitCode(err))
	}
}
