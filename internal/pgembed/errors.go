package pgembed

import (
	"cmp"
	"fmt"
	"runtime"
	"strings"
)

// NoBinariesError is returned when no PostgreSQL server is installed that could be used.
type NoBinariesError struct {
	Major int        // the only version that would do, of existing data; 0: any from 14 on
	Found []Binaries // installations of other versions
}

func (e *NoBinariesError) Error() string {
	wanted := fmt.Sprintf("PostgreSQL %d or newer", minMajor)
	if e.Major != 0 {
		wanted = fmt.Sprintf("PostgreSQL %d", e.Major)
	}
	if len(e.Found) == 0 {
		return "no server programs of " + wanted + " found"
	}
	var found []string
	for _, b := range e.Found {
		found = append(found, b.Version+" in "+b.Dir)
	}
	return fmt.Sprintf("no server programs of %s found, only %s", wanted, strings.Join(found, ", "))
}

// Hint lists the lines that install the programs on this system, one of which will do.
func (e *NoBinariesError) Hint() string {
	var b strings.Builder
	b.WriteString("install PostgreSQL with one of these, or pass the address of a running one:\n")
	for _, line := range e.installLines() {
		b.WriteString("  " + line + "\n")
	}
	return b.String() + "  export " + EnvBinDir + "=FOLDER   # if it is installed in an unusual place"
}

func (e *NoBinariesError) installLines() []string {
	var lines []string
	dash, at, note := "", "", ""
	if e.Major != 0 {
		dash = fmt.Sprintf("-%d", e.Major)
		at, note = "@VERSION", fmt.Sprintf("   # VERSION: the newest %d of `npm view %s versions`", e.Major, npmPackage())
	}
	switch runtime.GOOS {
	case "linux":
		lines = append(lines,
			"sudo apt-get install postgresql"+dash+"   # Debian, Ubuntu",
			"sudo dnf install postgresql-server   # Fedora, RHEL",
			"sudo apk add postgresql"+strings.TrimPrefix(dash, "-")+"   # Alpine")
	case "darwin":
		major := cmp.Or(e.Major, 17) // a formula needs one
		lines = append(lines, fmt.Sprintf("brew install postgresql@%d", major))
	}
	if pkg := npmPackage(); pkg != "" {
		lines = append(lines, fmt.Sprintf("(mkdir -p %[1]s && cd %[1]s && npm pack %[2]s%[3]s && tar -xzf *.tgz --strip-components=1)%[4]s",
			CacheDir()+"/npm"+dash, pkg, at, note))
	}
	return lines
}

// npmPackage is the npm package with the server programs of this platform, if there is one.
func npmPackage() string {
	cpu := map[string]string{"amd64": "x64", "arm64": "arm64"}[runtime.GOARCH]
	if cpu == "" || (runtime.GOOS != "linux" && runtime.GOOS != "darwin") {
		return ""
	}
	return "@embedded-postgres/" + runtime.GOOS + "-" + cpu
}

// BinDirError is returned when $RECOUNT_PG_BIN names a folder that has no PostgreSQL server.
type BinDirError struct {
	Dir string
	Err error
}

func (e *BinDirError) Error() string { return fmt.Sprintf("use %s=%s: %v", EnvBinDir, e.Dir, e.Err) }

// Hint says how to get on.
func (e *BinDirError) Hint() string {
	return "correct or unset " + EnvBinDir + ", which leads to no PostgreSQL; or " + (&NoBinariesError{}).Hint()
}

func (e *BinDirError) Unwrap() error { return e.Err }

// RunningError is returned by Start when the data directory is in use. A client can connect to
// the server that uses it; see Find.
type RunningError struct {
	DataDir string
	PID     int // the process that holds it: its recount, or the server if that one is gone; 0: not known
}

func (e *RunningError) Error() string {
	if e.PID == 0 { // it has taken the lock and not yet said its number
		return fmt.Sprintf("the database in %s is already in use by another process", e.DataDir)
	}
	return fmt.Sprintf("the database in %s is already in use by process %d", e.DataDir, e.PID)
}

// Hint says how to get on.
func (e *RunningError) Hint() string {
	stop := "stop it first"
	if e.PID != 0 {
		stop += fmt.Sprintf(" (kill -INT %d)", e.PID)
	}
	return stop + ", or choose another data directory"
}

// VersionError is returned by Start when the data was written by another major version of
// PostgreSQL than those that are installed.
type VersionError struct {
	DataDir string
	Data    int // the major version that wrote the data
	none    *NoBinariesError
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("the data in %s was written by PostgreSQL %d: %v", e.DataDir, e.Data, e.none)
}

// Hint says how to get on.
func (e *VersionError) Hint() string {
	return e.none.Hint() + "\n  rm -r " + e.DataDir + "   # to start again without the data"
}

func (e *VersionError) Unwrap() error { return e.none }

// RootError is returned by Start when this process is root and found nobody else to run the
// server as.
type RootError struct {
	DataDir string
	Tried   error
}

func (e *RootError) Error() string {
	return fmt.Sprintf("PostgreSQL does not run as root, and nobody else can run it in %s: %v", e.DataDir, e.Tried)
}

// Hint says how to get on.
func (e *RootError) Hint() string {
	return fmt.Sprintf("run this as an ordinary user; or move the data to a directory that the user postgres or nobody can reach "+
		"(every parent of %s needs the x permission); or allow user namespaces (sysctl user.max_user_namespaces, or the container's seccomp profile)", e.DataDir)
}

func (e *RootError) Unwrap() error { return e.Tried }
