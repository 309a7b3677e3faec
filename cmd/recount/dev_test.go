package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/app/cli"
	"github.com/57528e99/recount/internal/pgembed"
	"github.com/57528e99/recount/internal/pgtest"
)

func TestDevTakesAnOrderAndLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	dev, url := startDev(t, "--fresh", "--listen", "127.0.0.1:0")
	placeAndRead(t, url, url, "1")
	judgeLog(t, dev)
	dsn := dev.await(t, `psql '(.*)'`)[1]
	dir := dev.await(t, `data +(\S+), removed at the end`)[1]

	dev.stopGently(t)
	if conn, err := pgx.Connect(t.Context(), dsn); err == nil {
		conn.Close(t.Context())
		t.Error("PostgreSQL still runs")
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the data directory is still there: %v", err)
	}
	if stdout, _ := dev.stdout.read(); stdout != "" {
		t.Errorf("stdout = %q, want nothing: it is for data", stdout)
	}
}

func TestTheLinesThatDevPrintsWork(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("there is no curl")
	}
	dir := dataDir(t)
	dev, _ := startDev(t, "--data", dir, "--listen", "127.0.0.1:0")
	tryLines(t, dev)
	dev.stopGently(t)
}

func TestTheLinesThatDevPrintsWorkOnAnotherDatabase(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("there is no curl")
	}
	db := pgtest.NewEmpty(t)
	dev := startProcess(t, "dev", "--pg", db.DSN, "--data", t.TempDir(), "--schema", "tickets", "--listen", "127.0.0.1:0")
	dev.await(t, `Stop with Ctrl-C\.`)
	dev.await(t, `\n  database  \w+ on \S+\n`)
	dev.await(t, `--database \S+ --schema tickets\n`)
	tryLines(t, dev)
	dev.stopGently(t)
}

// tryLines runs the lines that dev prints.
func tryLines(t *testing.T, dev *process) {
	t.Helper()
	text, _ := dev.stderr.read()
	_, text, _ = strings.Cut(text, "its customer:\n")
	text, _, _ = strings.Cut(text, "\nStop")
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) != 5 {
		t.Fatalf("%d lines to try, want 5:\n%s", len(lines), text)
	}
	for i, want := range []string{`"version":0`, "OrderPlaced", `"status":"placed"`, `"country":"Norway"`, `"subject":"Thank you for your order try-`} {
		until(t, lines[i]+" prints "+want, func() bool { // read models follow a moment later
			cmd := exec.CommandContext(t.Context(), "sh", "-c", lines[i])
			cmd.Env = cleanEnv()
			out, err := cmd.CombinedOutput()
			return err == nil && strings.Contains(string(out), want)
		})
	}
}

func TestDevSaysHowToKeepTheDataElsewhere(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	dev := startProcess(t, "dev", "--data", filepath.Join(file, "data"), "--listen", "127.0.0.1:0")
	dev.await(t, `error: start the built-in PostgreSQL: .*\nhint: .* --data DIR keeps the data in another directory`)
	if code := dev.exit(t); code != cli.ExitFailure {
		t.Errorf("exit code %d, want %d", code, cli.ExitFailure)
	}
}

func TestDevSaysThatTheFolderOfPostgreSQLIsWrong(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "recount", "dev", "--fresh", "--listen", "127.0.0.1:0")
	cmd.Env = append(cleanEnv(), pgembed.EnvBinDir+"=/nonexistent")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != cli.ExitUnavailable {
		t.Errorf("ended with %v, want exit code %d", err, cli.ExitUnavailable)
	}
	for _, want := range []string{pgembed.EnvBinDir + "=/nonexistent: no program", "hint: correct or unset", "install PostgreSQL", "--pg"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
}

func TestDevSeedsOnce(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	args := []string{"--data", dir, "--listen", "127.0.0.1:0", "--seed", "--seed-orders", "5", "--log-level", "warn"}
	dev, _ := startDev(t, args...)
	commands := dev.await(t, `seed: all (\d+) commands, .*/s\n`)[1]
	dev.stopGently(t)

	dev, _ = startDev(t, args...)
	dev.await(t, `seed: all `+commands+` commands, .*/s, `+commands+` of them done before\n`)
	dev.stopGently(t)

	// Keys expire after a day.
	dev, _ = startDev(t, "--data", dir, "--listen", "127.0.0.1:0")
	conn, err := pgx.Connect(t.Context(), dev.await(t, `psql '(.*)'`)[1])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), `DELETE FROM recount.receipts`); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Error(err)
	}
	dev.stopGently(t)
	dev, _ = startDev(t, args...)
	dev.await(t, `seed: the made-up orders are there already\n`)
	dev.stopGently(t)

	dev, url := startDev(t, "--data", dir, "--listen", "127.0.0.1:0", "--seed", "--seed-orders", "6")
	dev.await(t, `error: load made-up orders: .*\nhint: were other orders made up here before\?`)
	placeAndRead(t, url, url, "after-all")
	judgeLog(t, dev)
	dev.stopGently(t)
}

func TestASecondDevSaysWhoIsInTheWay(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	dev, url := startDev(t, "--data", dir, "--listen", "127.0.0.1:0")

	second := startProcess(t, "dev", "--data", dir, "--listen", "127.0.0.1:0")
	second.await(t, fmt.Sprintf(`error: .*already in use by process %d\nhint: .*kill -INT %[1]d.* with --data DIR`, dev.cmd.Process.Pid))
	if code := second.exit(t); code != cli.ExitConflict {
		t.Errorf("exit code %d for a directory in use, want %d", code, cli.ExitConflict)
	}

	unused := filepath.Join(t.TempDir(), "unused")
	third := startProcess(t, "dev", "--data", unused, "--listen", strings.TrimPrefix(url, "http://"))
	third.await(t, `error: something else listens on 127.0.0.1:\d+ already\nhint: .*--listen 127.0.0.1:0`)
	if code := third.exit(t); code != cli.ExitConflict {
		t.Errorf("exit code %d for an address in use, want %d", code, cli.ExitConflict)
	}
	if _, err := os.Stat(unused); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it left a data directory behind: %v", err)
	}
	dev.stopGently(t)
}

func TestDevEndsWithItsDatabase(t *testing.T) {
	t.Parallel()
	dev, _ := startDev(t, "--data", dataDir(t), "--listen", "127.0.0.1:0")
	dsn := dev.await(t, `psql '(.*)'`)[1]
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	// COPY to a program runs as the server: it can end the postmaster, which is the parent of ours.
	_, _ = conn.Exec(t.Context(), `COPY (SELECT 1) TO PROGRAM 'kill -QUIT $(head -1 postmaster.pid)'`)
	dev.await(t, `error: the built-in PostgreSQL ended by itself\nhint: its log says why: \S+server\.log`)
	if code := dev.exit(t); code != cli.ExitUnavailable {
		t.Errorf("exit code %d, want %d", code, cli.ExitUnavailable)
	}
}

func TestDevSaysHowToGetPostgreSQL(t *testing.T) {
	t.Parallel()
	old := t.TempDir() // an installation that is too old counts as none
	for _, name := range []string{"initdb", "postgres"} {
		script := "#!/bin/sh\necho '" + name + " (PostgreSQL) 9.6.1'\n"
		if err := os.WriteFile(filepath.Join(old, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "recount", "dev", "--fresh", "--listen", "127.0.0.1:0")
	cmd.Env = append(cleanEnv(), pgembed.EnvBinDir+"="+old)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != cli.ExitUnavailable {
		t.Errorf("ended with %v, want exit code %d", err, cli.ExitUnavailable)
	}
	for _, want := range []string{"error: ", "9.6.1", "hint: install PostgreSQL with one of these", "--pg"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
}

func TestTheSecondSignalEndsDevAtOnce(t *testing.T) {
	t.Parallel()
	dev, url := startDev(t, "--fresh", "--listen", "127.0.0.1:0")
	// A request whose body does not come keeps the server from ending.
	hold := holdRequest(t, url)
	defer hold.Close()
	dev.signal(t, os.Interrupt)
	awaitClosed(t, url)
	dev.signal(t, os.Interrupt)
	if code := dev.exit(t); code != cli.ExitInterrupted {
		t.Errorf("exit code %d after two signals, want %d", code, cli.ExitInterrupted)
	}
}
