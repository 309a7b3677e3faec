package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/mail"
)

func (prog *Program) mailPreview() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "preview DEFINITION EVENT",
		Short: "Print the mail that a subscription would send for an event; exit code 8 if there is none to send",
		Long: `Print the mail that a subscription would send for an event, and send nothing. Each of the two is JSON, @FILE or - for
stdin: the definition of the subscription, whose target is an email, and the event as it is delivered, of which a line of log tail -o json is
one. Exit code 8 if there is no mail to send, or the templates and the event do not fit.`,
		Example: "  {program} log tail -n 1 -o json | {program} mail preview @receipts.json - --templates mails",
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) != 2:
			return UsageError(cmd, "%s needs a definition and an event, got %d arguments", cmd.CommandPath(), len(args))
		case args[0] == "-" && args[1] == "-":
			return UsageError(cmd, "stdin can be the definition or the event, not both")
		}
		return nil
	}
	out := OutputFlag(cmd)
	var o app.Options
	templatesFlag(cmd.Flags(), &o.Templates)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		d, err := readArgument(prog, "definition", args[0], func(text []byte) (delivery.Definition, error) { return delivery.ParseDefinition(text, "") })
		if err != nil {
			return err
		}
		if d.Target.Email == nil {
			return Fail(ExitUsage, errors.New("the target of the subscription is no email"), "")
		}
		e, err := readArgument(prog, "event", args[1], func(text []byte) ([]byte, error) {
			_, err := mail.EventData(text)
			return text, err
		})
		if err != nil {
			return err
		}
		// Nothing is sent, so any server will do.
		d.Target.Email.Server = &delivery.MailServer{Host: "localhost"}
		mailer, err := mail.NewMailer(mail.Config{Templates: prog.App.Templates(o.Templates)})
		if err != nil {
			return err
		}
		target, err := mailer.Target(d)
		if err != nil {
			return err
		}
		m, err := target.Mail(e)
		switch {
		case err != nil:
			return Fail(ExitCheckFailed, err, "")
		case m == nil:
			return Fail(ExitCheckFailed, errors.New("there is no mail to send: /target/email/to yields nothing for this event"), "")
		}
		v := preview{m.From, m.To, m.Subject, m.Text, m.HTML}
		return out.Print(prog.Stdout, v, v.write)
	}
	return cmd
}

// preview is a mail as JSON.
type preview struct {
	From    string `json:"from"`
	To      string `json:"to"`
	Subject string `json:"subject"`
	Text    string `json:"text,omitempty"`
	HTML    string `json:"html,omitempty"`
}

func (p preview) write(w io.Writer) {
	fmt.Fprintf(w, "From: %s\nTo: %s\nSubject: %s\n", strings.Map(printable, p.From), strings.Map(printable, p.To), strings.Map(printable, p.Subject))
	for _, body := range []string{p.Text, p.HTML} {
		if body != "" {
			fmt.Fprintf(w, "\n%s\n", strings.Map(printable, body))
		}
	}
}

// printable returns what a terminal may be shown: what is in an event is anybody's.
func printable(r rune) rune {
	switch {
	case r == '\t':
		return ' '
	case unicode.IsControl(r) && r != '\n':
		return unicode.ReplacementChar
	}
	return r
}
