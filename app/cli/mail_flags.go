package cli

import (
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/pflag"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/mail"
)

// templatesFlag adds the flag for templates of mails.
func templatesFlag(flags *pflag.FlagSet, to *fs.FS) {
	flags.Var(&directory{to: to}, "templates", "directory with templates of mails, instead of those in the program")
	FromEnv(flags, "templates")
}

// mailServerFlag adds the flag for a mail server. It is read by parseMailServer: errors of flags say what was given, and here there may
// be a password in it.
func mailServerFlag(flags *pflag.FlagSet, to *string) {
	flags.StringVar(to, "mail-server", "", "where mails are handed in: smtp://user:password@host:587, or smtps:// if it is encrypted from the beginning")
	FromEnv(flags, "mail-server")
}

func parseMailServer(address string) (*delivery.MailServer, error) {
	if address == "" {
		return nil, nil
	}
	s, err := mail.ParseServer(address)
	if err != nil {
		return nil, Fail(ExitUsage, fmt.Errorf("--mail-server: %w", err), "")
	}
	return s, nil
}

// directory is a flag for one whose files are read, and nothing outside of it.
type directory struct {
	to   *fs.FS
	name string
}

// String implements pflag.Value.
func (d *directory) String() string { return d.name }

// Type implements pflag.Value. The help shows it.
func (d *directory) Type() string { return "DIR" }

// Set implements pflag.Value.
func (d *directory) Set(name string) error {
	root, err := os.OpenRoot(name)
	if err != nil {
		return err
	}
	d.name, *d.to = name, root.FS()
	return nil
}
