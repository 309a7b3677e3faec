// Package inbox is a mail server for development and tests: it takes all mails, keeps the last of them in memory, and shows them. It sends
// none on.
package inbox

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/57528e99/recount/delivery"
)

// Config says what an Inbox keeps. The zero value works.
type Config struct {
	// Mails and Bytes are how much it keeps at most; the oldest go first. Default: 1,000, and 16 MiB.
	Mails int
	Bytes int
	// Take decides on each mail before it is kept: an error refuses it, with the answer that an *smtp.SMTPError has. Default: all are taken.
	Take func(Mail) error
}

// maxMail is how many bytes a mail may have.
const maxMail = 8 << 20

// Mail is one that was taken.
type Mail struct {
	// ID tells it from the others of the Inbox.
	ID string `json:"id"`
	// MessageID is that of its header, with < and >.
	MessageID string `json:"message_id"`
	From      string `json:"from"`
	To        string `json:"to"`
	// Recipients are those that the mail was handed in for, whatever its header says.
	Recipients []string  `json:"recipients"`
	Subject    string    `json:"subject"`
	Date       time.Time `json:"date"`
	// ReceivedAt is when it came first. Copies is how often it came: the same Message-ID is the same mail.
	ReceivedAt time.Time `json:"received_at"`
	Copies     int       `json:"copies"`
	Text       string    `json:"text,omitempty"`
	HTML       string    `json:"html,omitempty"`
	// Header is the header as it came.
	Header []byte `json:"-"`

	size int
}

// Inbox is the server. It is safe for concurrent use.
type Inbox struct {
	config Config
	server *smtp.Server
	ln     net.Listener
	served chan error

	mu    sync.Mutex
	mails []Mail // in the order in which they came first
	size  int
	count int
}

// Start starts an Inbox on a free port of this machine; Close it.
func Start(c Config) (*Inbox, error) {
	if c.Mails == 0 {
		c.Mails = 1000
	}
	if c.Bytes == 0 {
		c.Bytes = 16 << 20
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the inbox: %w", err)
	}
	b := &Inbox{config: c, ln: ln, served: make(chan error, 1)}
	b.server = smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{inbox: b}, nil }))
	b.server.Domain, b.server.MaxMessageBytes, b.server.EnableSMTPUTF8 = "localhost", maxMail, true
	b.server.ReadTimeout, b.server.WriteTimeout = time.Minute, time.Minute
	b.server.ErrorLog = log.New(io.Discard, "", 0) // who sends is told
	go func() { b.served <- b.server.Serve(ln) }()
	return b, nil
}

// Server is what a Mailer needs to know of it.
func (b *Inbox) Server() delivery.MailServer {
	return delivery.MailServer{Host: "127.0.0.1", Port: b.ln.Addr().(*net.TCPAddr).Port, TLS: delivery.NoTLS}
}

// Close ends it, and the connections to it.
func (b *Inbox) Close() error {
	err := b.server.Close()
	// The server may not have seen the listener yet.
	if closed := b.ln.Close(); !errors.Is(closed, net.ErrClosed) {
		err = errors.Join(err, closed)
	}
	<-b.served
	return err
}

// Mails returns those that it has, the last to come first.
func (b *Inbox) Mails() []Mail {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := slices.Clone(b.mails)
	slices.Reverse(all)
	return all
}

// Mail returns the one with an id.
func (b *Inbox) Mail(id string) (Mail, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.IndexFunc(b.mails, func(m Mail) bool { return m.ID == id })
	if i < 0 {
		return Mail{}, false
	}
	return b.mails[i], true
}

func (b *Inbox) take(m Mail) error {
	if b.config.Take != nil {
		if err := b.config.Take(m); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.IndexFunc(b.mails, func(other Mail) bool { return m.MessageID != "" && other.MessageID == m.MessageID }); i >= 0 {
		b.mails[i].Copies++
		return nil
	}
	b.count++
	m.ID, m.Copies = strconv.Itoa(b.count), 1
	b.mails, b.size = append(b.mails, m), b.size+m.size
	for len(b.mails) > b.config.Mails || b.size > b.config.Bytes {
		b.size -= b.mails[0].size
		b.mails = slices.Delete(b.mails, 0, 1)
	}
	return nil
}

// session is one connection. It implements smtp.Session.
type session struct {
	inbox      *Inbox
	recipients []string
}

func (s *session) Reset()        { s.recipients = nil }
func (s *session) Logout() error { return nil }

func (s *session) Mail(string, *smtp.MailOptions) error { return nil }

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.recipients = append(s.recipients, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	source, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	m, err := parse(source)
	if err != nil {
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: "the mail cannot be read: " + err.Error()}
	}
	m.Recipients, m.ReceivedAt, m.size = slices.Clone(s.recipients), time.Now().UTC(), len(source)
	return s.inbox.take(m)
}
