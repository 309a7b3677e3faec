package mail

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/57528e99/recount/delivery"
)

// TestEncryption: a password is sent to a server whose certificate is right, and never without TLS.
func TestEncryption(t *testing.T) {
	web := httptest.NewTLSServer(nil)
	defer web.Close()
	certificates := x509.NewCertPool()
	certificates.AddCert(web.Certificate())
	usual := tlsConfig
	trusting := func(host string) *tls.Config { c := usual(host); c.RootCAs = certificates; return c }
	defer func() { tlsConfig = usual }()

	t.Setenv("RECOUNT_SECRET_MAIL", "hush")
	for _, c := range []struct {
		name     string
		implicit bool
		trust    func(string) *tls.Config
		password string
		certify  bool
		error    string
	}{
		{name: "starttls", trust: trusting, certify: true},
		{name: "implicit", implicit: true, trust: trusting, certify: true},
		{name: "another password", trust: trusting, certify: true, password: "hash", error: "535"},
		{name: "a certificate that nobody knows", trust: usual, certify: true, error: "certificate"},
		{name: "implicit, with a certificate that nobody knows", implicit: true, trust: usual, certify: true, error: "certificate"},
		{name: "a server without starttls", trust: trusting, error: "STARTTLS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tlsConfig = c.trust
			took := &login{password: cmp.Or(c.password, "hush")}
			s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return took, nil }))
			if c.certify {
				s.TLSConfig = web.TLS.Clone()
				s.TLSConfig.NextProtos = nil
			}
			s.ErrorLog = log.New(io.Discard, "", 0)
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			on := &delivery.MailServer{Host: "127.0.0.1", Port: ln.Addr().(*net.TCPAddr).Port, User: "shop", Password: delivery.Secret{Env: "RECOUNT_SECRET_MAIL"}}
			if c.implicit {
				ln, on.TLS = tls.NewListener(ln, s.TLSConfig), delivery.ImplicitTLS
			}
			served := make(chan error)
			go func() { served <- s.Serve(ln) }()
			defer func() { ln.Close(); s.Close(); <-served }()
			email := toCustomer
			email.Server = on
			err = newTarget(t, email, nil).Deliver(t.Context(), placed(`{"email":"ann@example.com","name":"Ann","total_minor":9000}`))
			outcome, _ := delivery.OutcomeOf(err)
			switch {
			case c.error == "" && (err != nil || took.mails != 1):
				t.Errorf("Deliver = %v, %d mails were taken", err, took.mails)
			case c.error != "" && (err == nil || outcome != delivery.Transient || !strings.Contains(err.Error(), c.error) || took.mails > 0):
				t.Errorf("Deliver = %v (%s), %d mails were taken; want a transient failure about %s", err, outcome, took.mails, c.error)
			}
			if err != nil && strings.Contains(err.Error(), "hush") {
				t.Errorf("the error has the password: %v", err)
			}
		})
	}
}

// login takes mails of one user.
type login struct {
	password string
	in       bool
	mails    int
}

func (l *login) AuthMechanisms() []string { return []string{sasl.Plain} }

func (l *login) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "shop" || password != l.password {
			return smtp.ErrAuthFailed
		}
		l.in = true
		return nil
	}), nil
}

func (l *login) Reset()                               {}
func (l *login) Logout() error                        { return nil }
func (l *login) Mail(string, *smtp.MailOptions) error { return nil }
func (l *login) Rcpt(string, *smtp.RcptOptions) error { return nil }

func (l *login) Data(r io.Reader) error {
	if !l.in {
		return smtp.ErrAuthRequired
	}
	l.mails++
	_, err := io.Copy(io.Discard, r)
	return err
}

// TestAddressesAreGuarded: what a definition names is dialed as the program wants, the server of the process is reached.
func TestAddressesAreGuarded(t *testing.T) {
	t.Parallel()
	refused := errors.New("not public")
	on := server(t, nil)
	m, err := NewMailer(Config{Server: on, Templates: files, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, refused }})
	if err != nil {
		t.Fatal(err)
	}
	for _, named := range []*delivery.MailServer{nil, on} {
		email := toCustomer
		email.Server = named
		target, err := m.Target(delivery.Definition{Name: "mails", Target: delivery.TargetConfig{Email: &email}})
		if err != nil {
			t.Fatal(err)
		}
		err = target.Deliver(t.Context(), placed(`{"email":"ann@example.com","name":"Ann","total_minor":9000}`))
		if errors.Is(err, refused) != (named != nil) || named == nil && err != nil {
			t.Errorf("Deliver to the server %v: %v", named, err)
		}
	}
}

func TestTargetsThatCannotBeMade(t *testing.T) {
	t.Parallel()
	on := &delivery.MailServer{Host: "127.0.0.1", TLS: delivery.NoTLS}
	for _, c := range []struct {
		change func(*delivery.EmailTarget)
		server *delivery.MailServer
		error  string
	}{
		{func(*delivery.EmailTarget) {}, nil, "this process has no mail server"},
		{func(c *delivery.EmailTarget) { c.Template.Text = "other.txt" }, on, "open other.txt"},
		{func(c *delivery.EmailTarget) { c.Template.HTML = "broken.txt" }, on, "missing value for if"},
		{func(c *delivery.EmailTarget) { c.To = "{{shell .data}}" }, on, `function "shell" not defined`},
		{func(c *delivery.EmailTarget) { c.Template.Text = "../order.txt" }, on, "/target/email/template/text must be the name of a file"},
	} {
		m, err := NewMailer(Config{Server: c.server, Templates: files})
		if err != nil {
			t.Fatal(err)
		}
		email := toCustomer
		c.change(&email)
		if _, err := m.Target(delivery.Definition{Name: "mails", Target: delivery.TargetConfig{Email: &email}}); err == nil || !strings.Contains(err.Error(), c.error) {
			t.Errorf("Target = %v, want %s", err, c.error)
		}
	}
}

func TestParseServer(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]delivery.MailServer{
		"smtp://mail.example.com":                      {Host: "mail.example.com", Port: 587, TLS: delivery.StartTLS},
		"smtps://ann:p%40ss@mail.example.com":          {Host: "mail.example.com", Port: 465, TLS: delivery.ImplicitTLS, User: "ann", Password: delivery.Secret{Value: "p@ss"}},
		"smtp://[::1]:2525?tls=none":                   {Host: "::1", Port: 2525, TLS: delivery.NoTLS},
		"https://mail.example.com":                     {},
		"smtp://ann:secret@mail.example.com?tls=none":  {},
		"smtp://ann:secret@mail.example.com\r\n:25":    {},
		"smtp://ann:secret@mail.example.com/path":      {},
		"smtp://ann@mail.example.com":                  {},
		"smtp://ann:secret@mail.example.com?tls=sslv3": {},
	} {
		s, err := ParseServer(address)
		if want.Host == "" {
			if err == nil || strings.Contains(err.Error(), "secret") {
				t.Errorf("ParseServer(%q) = %v, %v, want an error without the password", address, s, err)
			}
			continue
		}
		if err != nil || *s != want {
			t.Errorf("ParseServer(%q) = %+v, %v, want %+v", address, s, err, want)
		}
	}
}
