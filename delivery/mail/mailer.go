package mail

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/mail"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	gomail "github.com/wneessen/go-mail"

	"github.com/57528e99/recount/delivery"
)

// ErrNoServer is returned where a mail is to be sent, and the process has no mail server.
var ErrNoServer = errors.New("this process has no mail server")

// DialFunc makes connections.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// Config says how a process sends mails.
type Config struct {
	// Server is the mail server of the process, see ParseServer. Default: none.
	Server *delivery.MailServer
	// Templates are the files with templates. Default: none.
	Templates fs.FS
	// Dial makes the connections to servers that definitions name. Default: all are reached.
	Dial DialFunc
}

// Mailer sends the mails of a process. It is safe for concurrent use, and has nothing to close.
type Mailer struct {
	config Config

	mu        sync.Mutex
	templates map[delivery.MailTemplate]*Template
}

// NewMailer returns a Mailer. The error is an *delivery.InvalidError about the server.
func NewMailer(c Config) (*Mailer, error) {
	if c.Server != nil {
		server, err := c.Server.Checked()
		if err != nil {
			return nil, err
		}
		c.Server = &server
	}
	if c.Templates == nil {
		c.Templates = noFiles{}
	}
	if c.Dial == nil {
		c.Dial = new(net.Dialer).DialContext
	}
	return &Mailer{config: c, templates: make(map[delivery.MailTemplate]*Template)}, nil
}

// ParseServer reads the address of a mail server: smtp://user:password@host:587, which demands STARTTLS,
// smtps://user:password@host:465, which is encrypted from the beginning, or smtp://host:25?tls=none.
func ParseServer(address string) (*delivery.MailServer, error) {
	const forms = "a mail server is smtp://user:password@host:587, smtps://user:password@host:465 or smtp://host:25?tls=none"
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "smtp" && u.Scheme != "smtps" || u.Host == "" || strings.Trim(u.Path, "/") != "" {
		return nil, errors.New(forms) // without the error, which has the password
	}
	s := delivery.MailServer{Host: u.Hostname(), TLS: delivery.MailTLS(u.Query().Get("tls")), User: u.User.Username()}
	s.Password.Value, _ = u.User.Password()
	if u.Scheme == "smtps" {
		s.TLS = cmp.Or(s.TLS, delivery.ImplicitTLS)
	}
	if port := u.Port(); port != "" {
		if s.Port, err = strconv.Atoi(port); err != nil {
			return nil, errors.New(forms)
		}
	}
	s, err = s.Checked()
	return &s, err
}

// Template returns the template with the files of the process. A file is read once: that it has changed is seen by the next process.
func (m *Mailer) Template(c delivery.MailTemplate) (*Template, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t := m.templates[c]; t != nil {
		return t, nil
	}
	t, err := parseFiles(m.config.Templates, c)
	if err == nil {
		m.templates[c] = t
	}
	return t, err
}

// noFiles is a file system without files.
type noFiles struct{}

// Open implements fs.FS.
func (noFiles) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// Mail is one to send.
type Mail struct {
	// ID makes the Message-ID, <ID@domain of From>: see ID. Required.
	ID string
	// From and To are addresses, such as Shop <shop@example.com>. Required.
	From, To string
	// At is its Date. Required.
	At time.Time
	Content
}

// ID returns that of the mail by which a subscription tells somebody of an event: the same each time, another for each subscription.
func ID(subscription string, message uuid.UUID) string {
	// A '.' may not be anywhere in an id.
	return message.String() + "." + strings.ReplaceAll(subscription, ".", "=")
}

// Send sends a mail by the server of the process; ErrNoServer: there is none. Other errors are for delivery.OutcomeOf.
func (m *Mailer) Send(ctx context.Context, mail Mail) error {
	if m.config.Server == nil {
		return ErrNoServer
	}
	made, err := mail.message()
	if err != nil {
		return err
	}
	c, err := connect(ctx, m.config.Server, new(net.Dialer).DialContext)
	if err != nil {
		return err
	}
	defer c.close()
	return c.send(ctx, made)
}

// message writes the mail. Two of the same differ in the text between their parts only, which nobody must be able to foresee.
func (m *Mail) message() (*gomail.Msg, error) {
	from, err := mail.ParseAddress(m.From)
	if err != nil {
		return nil, delivery.Permanent(fmt.Errorf("the address %q that the mail is from: %w", m.From, err))
	}
	to, err := mail.ParseAddress(m.To)
	if err != nil {
		return nil, delivery.Permanent(fmt.Errorf("the address %q that the mail is for: %w", m.To, err))
	}
	domain := from.Address[strings.LastIndexByte(from.Address, '@'):]
	made := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	made.FromMailAddress(from)
	made.ToMailAddress(to)
	made.SetMessageIDWithValue(m.ID + domain)
	made.SetDateWithValue(m.At.UTC())
	made.Subject(m.Subject)
	// Nobody who is away is to answer.
	made.SetGenHeader("Auto-Submitted", "auto-generated")
	switch {
	case m.HTML == "":
		made.SetBodyString(gomail.TypeTextPlain, m.Text)
	case m.Text == "":
		made.SetBodyString(gomail.TypeTextHTML, m.HTML)
	default:
		made.SetBodyString(gomail.TypeTextPlain, m.Text)
		made.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	}
	return made, nil
}
