package cli

import (
	"io"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"unicode"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/hint"
)

// testApp is a service with nothing in it.
var testApp = app.App{Name: "service", Program: "recount"}

// FuzzCommandLine parses command lines, and the environment that belongs to
// them, without doing what they say: flags and arguments of every command.
func FuzzCommandLine(f *testing.F) {
	f.Add("projections verify orders --server http://x --all", "RECOUNT_OUTPUT", "yaml")
	f.Add("projections skip orders --reason '' --position 1e3 --server http://x --data d", "RECOUNT_SERVER", "ftp://x")
	f.Add("log tail -n -1 --from=yesterday --type a,b", "DATABASE_URL", "postgres://")
	f.Add("serve --snapshots stock=1,order=x --wait 1e9h --max-connections 99999999999", "RECOUNT_ROLES", ",")
	f.Add("streams diff a 0 -1", "", "")
	f.Add("import online-retail \x00 --server garbage --", "RECOUNT_SERVER", "::")
	f.Fuzz(func(t *testing.T, line, name, value string) {
		prog := &Program{App: testApp, Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard, Getenv: func(asked string) string {
			if asked == name {
				return value
			}
			return ""
		}}
		root := prog.Command()
		cmd, rest, err := root.Find(strings.Fields(line))
		if err == nil {
			err = cmd.ParseFlags(rest)
		}
		if err == nil {
			err = cmd.ValidateArgs(cmd.Flags().Args())
		}
		if err == nil {
			err = prog.setFromEnv(cmd.Flags())
		}
		if err == nil {
			return
		}
		if code := ExitCode(flagError(cmd, err)); code != ExitUsage || message(err) == "" {
			t.Errorf("%q ends with %d: %v", line, code, err)
		}
	})
}

func FuzzServerAddress(f *testing.F) {
	for _, text := range []string{"http://127.0.0.1:8080/", "garbage", "https://x/y?z", "http://[::1]:80", "http://\x00", "//x"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var s serverAddress
		if s.Set(text) != nil {
			return
		}
		u, err := url.Parse(s.String())
		if err != nil || u.Host == "" {
			t.Errorf("%q is taken as %q", text, s)
		}
	})
}

// FuzzDatabaseAddress reads addresses of databases, whose password is shown to
// nobody.
func FuzzDatabaseAddress(f *testing.F) {
	f.Add("postgres://user:password@host:5432/name?sslmode=disable")
	f.Add("host=/tmp user=x password='a b'")
	f.Add("postgres://%zz")
	f.Fuzz(func(t *testing.T, dsn string) {
		if strings.Contains(dsn, "file") || strings.Contains(dsn, "ssl") || strings.Contains(dsn, "service") {
			return // those make it read files of the machine
		}
		shown := describe(dsn)
		err := CheckDSN(dsn)
		if err != nil {
			if ExitCode(err) != ExitUsage || (&Program{App: testApp}).hintFor(err) == "" {
				t.Errorf("%q ends with %d: %v", dsn, ExitCode(err), err)
			}
			return
		}
		config, err := pgx.ParseConfig(dsn)
		if err != nil {
			t.Fatalf("%q is taken, and cannot be read: %v", dsn, err)
		}
		if secret := config.Password; len(secret) > 8 && strings.Contains(shown, secret) &&
			!strings.Contains(config.Host+" "+config.Database, secret) {
			t.Errorf("%q is shown as %q", dsn, shown)
		}
	})
}

// FuzzShownText covers what is printed of texts of others.
func FuzzShownText(f *testing.F) {
	for _, text := range []string{"", "it's", "\x1b[2J", "\xff", "a\u202eb", "$(x) `y`", "{}", "\u2028"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		shown := Cell(text, 10)
		if strings.ContainsFunc(shown, func(r rune) bool { return !unicode.IsPrint(r) }) || len([]rune(shown)) > 11 {
			t.Errorf("Cell(%q) = %q", text, shown)
		}
		if data, other := asJSON([]byte(text)); (data == nil) == (other == nil) {
			t.Errorf("asJSON(%q) = %q, %q", text, data, other)
		}
	})
}

// A hint's command line is for a shell.
func TestQuotedWordsComeThroughAShell(t *testing.T) {
	for _, word := range []string{"", "plain-1", "it's", "$(x) `y` \\ \"", "a\nb", "-", "*", "é"} {
		out, err := exec.Command("sh", "-c", "printf %s "+hint.Quote(word)).Output()
		if err != nil || string(out) != word || hint.Quote(word) == "" {
			t.Errorf("%q comes through a shell as %q, %v", word, out, err)
		}
	}
}
