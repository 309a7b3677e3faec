package cli

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/57528e99/recount/app"
)

// targetOptionFlags adds the flags that say what a process needs to send events to targets, and returns what reads them.
func (prog *Program) targetOptionFlags(flags *pflag.FlagSet) func(*app.Options) error {
	var o app.Options
	var server, webhookKeyFile string
	flags.Var((*networks)(&o.AllowTargets), "allow-targets", "network that subscriptions may send requests to although it is not public, such as 10.0.0.0/8; may be repeated")
	flags.StringVar(&o.ArchiveDir, "archive-dir", "", "directory below which subscriptions may keep archives; else nowhere")
	mailServerFlag(flags, &server)
	templatesFlag(flags, &o.Templates)
	flags.StringVar(&webhookKeyFile, "webhook-key-file", "", "file with the key that the secrets of webhooks are derived from, 32 bytes or more, the same for all processes; "+
		"or it is in $"+webhookKeyVariable)
	for _, name := range []string{"allow-targets", "archive-dir", "webhook-key-file"} {
		FromEnv(flags, name)
	}
	return func(to *app.Options) (err error) {
		to.AllowTargets, to.ArchiveDir, to.Templates = o.AllowTargets, o.ArchiveDir, o.Templates
		if to.MailServer, err = parseMailServer(server); err == nil {
			to.WebhookKey, err = prog.webhookKey(webhookKeyFile)
		}
		return err
	}
}

// WithTargets gives a command of an Extension the flags for a database, and those for what sends events to targets. What it returns calls a
// function with the service on that database, which is not started.
func (prog *Program) WithTargets(cmd *cobra.Command) func(ctx context.Context, use func(*app.Service) error) error {
	d := prog.withMost().databaseFlags(cmd, "that of the running {program} dev")
	set := prog.targetOptionFlags(cmd.Flags())
	return func(ctx context.Context, use func(*app.Service) error) error {
		var o app.Options
		if err := set(&o); err != nil {
			return err
		}
		return d.withService(ctx, o, use)
	}
}

// Actor names who runs the program, for what is kept of what they did.
func Actor() string { return actor() }
