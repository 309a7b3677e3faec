package app

import (
	"context"
	"errors"
	"io/fs"

	"github.com/rs/zerolog"

	"github.com/57528e99/recount/delivery/mail"
)

// newMailer returns what sends mails: by the server and with the files of the options, and with those of the modules.
func (s *Service) newMailer() (err error) {
	s.Mailer, err = mail.NewMailer(mail.Config{Server: s.options.MailServer, Templates: s.App.Templates(s.options.Templates), Dial: s.TargetDialer().DialContext})
	return err
}

// SendMail sends a mail by the mail server of the process; the error is one for delivery.OutcomeOf. Without a server the log says that
// it is not sent.
func (s *Service) SendMail(ctx context.Context, m mail.Mail) error {
	err := s.Mailer.Send(ctx, m)
	if errors.Is(err, mail.ErrNoServer) {
		zerolog.Ctx(ctx).Info().Str("to", m.To).Str("subject", m.Subject).Msg("there is no mail server: a mail is not sent")
		return nil
	}
	return err
}

// Templates returns the files with templates of mails: those of others, or nil, and those of the modules.
func (a App) Templates(others fs.FS) fs.FS {
	var files layered
	if others != nil {
		files = append(files, others)
	}
	for _, m := range a.Modules {
		if m.Templates != nil {
			files = append(files, m.Templates)
		}
	}
	return files
}

// layered are file systems of which each file is that of the first that has it.
type layered []fs.FS

// Open implements fs.FS.
func (l layered) Open(name string) (fs.File, error) {
	for _, files := range l {
		if f, err := files.Open(name); !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}
