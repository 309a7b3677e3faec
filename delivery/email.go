package delivery

import (
	"io/fs"
	"net/mail"
	"regexp"
	"text/template/parse"
)

// EmailTarget sends a mail for each event.
type EmailTarget struct {
	// Server is where mails are handed in. Default: the mail server of the process that delivers.
	Server *MailServer `json:"server,omitzero"`
	// From is the address that mails are from, such as Shop <shop@example.com>. Required.
	From string `json:"from"`
	// To is the address that they go to: a template of package text/template over the event as it is delivered, such as
	// {{.data.email}}. It yields one address, or nothing: then there is nothing to send, and the event is done. Required.
	To string `json:"to"`
	// Template says what is in a mail.
	Template MailTemplate `json:"template"`
}

// MailTemplate says what is in a mail. Templates are those of package text/template over the event as it is delivered.
type MailTemplate struct {
	// Subject is a template. Required.
	Subject string `json:"subject"`
	// Text and HTML name files with templates, that of HTML for package html/template: below the directory for templates of the
	// process that delivers, or in its program. One is required; a mail with both lets the reader choose.
	Text string `json:"text,omitempty"`
	HTML string `json:"html,omitempty"`
}

// MailServer is a server that takes mails over SMTP.
type MailServer struct {
	// Host is its name or address, which its certificate must be for. Required.
	Host string `json:"host"`
	// Port is from 1 to 65535. Default: 587, 465 with TLS from the beginning, 25 without TLS.
	Port int `json:"port"`
	// TLS says how the connection is encrypted. Default: "starttls".
	TLS MailTLS `json:"tls"`
	// User and Password log in; both or none. Not without TLS.
	User     string `json:"user,omitempty"`
	Password Secret `json:"password,omitzero"`
}

// MailTLS says how a connection to a mail server is encrypted.
type MailTLS string

// The choices.
const (
	// StartTLS begins unencrypted, and sends nothing of a mail before it is encrypted.
	StartTLS    MailTLS = "starttls"
	ImplicitTLS MailTLS = "implicit"
	NoTLS       MailTLS = "none"
)

// Checked returns the server with what it leaves out filled in. The error is an *InvalidError, in which password may be text.
func (s MailServer) Checked() (MailServer, error) {
	c := &checker{}
	if c.mailServer("", &s); len(c.mistakes) > 0 {
		return s, &InvalidError{Mistakes: c.mistakes}
	}
	return s, nil
}

func (c *checker) email(at string, t *EmailTarget) {
	if t.Server != nil {
		server := *t.Server // the caller's stays as it is
		c.mailServer(at+"server", &server)
		if server.User != "" {
			c.secret(at+"server/password", server.Password)
		}
		t.Server = &server
	}
	c.text(at+"from", t.From, maxValue)
	if from, err := mail.ParseAddress(t.From); err != nil || !mailDomain.MatchString(from.Address) {
		c.wrong(at+"from", "must be an address such as Shop <shop@example.com>")
	}
	c.template(at+"to", t.To)
	c.template(at+"template/subject", t.Template.Subject)
	for _, file := range []struct{ pointer, name string }{{"text", t.Template.Text}, {"html", t.Template.HTML}} {
		c.text(at+"template/"+file.pointer, file.name, maxPath)
		if file.name != "" && (file.name == "." || !fs.ValidPath(file.name)) {
			c.wrong(at+"template/"+file.pointer, "must be the name of a file such as mails/order.txt: relative, with '/', without '..'")
		}
	}
	if t.Template.Text == "" && t.Template.HTML == "" {
		c.wrong(at+"template", "must have text, html or both: names of files")
	}
}

// mailDomain is what an address must end in for a Message-ID to be made of it.
var mailDomain = regexp.MustCompile(`@[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`)

// template checks one that is in the definition. What functions there are is known where it is used.
func (c *checker) template(pointer, text string) {
	c.required(pointer, text, "a template")
	tree := parse.New("template")
	tree.Mode = parse.SkipFuncCheck
	if _, err := tree.Parse(text, "", "", make(map[string]*parse.Tree)); err != nil {
		c.wrong(pointer, "must be a template of Go's text/template: %v", err)
	}
}

var hostSyntax = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9.])?$|^[0-9A-Fa-f:.]{2,45}$`)

func (c *checker) mailServer(pointer string, s *MailServer) {
	if !hostSyntax.MatchString(s.Host) {
		c.wrong(pointer+"/host", "must be the name or the address of a mail server")
	}
	choice(c, pointer+"/tls", &s.TLS, StartTLS, ImplicitTLS, NoTLS)
	port := 587
	switch s.TLS {
	case ImplicitTLS:
		port = 465
	case NoTLS:
		port = 25
	}
	number(c, pointer+"/port", &s.Port, port, 1, 65535)
	c.text(pointer+"/user", s.User, maxValue)
	switch {
	case (s.User == "") != (s.Password == Secret{}):
		c.wrong(pointer, "must have user and password, or neither")
	case s.User != "" && s.TLS == NoTLS:
		c.wrong(pointer+"/tls", "must not be %q with a password, which everybody on the way could read", NoTLS)
	}
}
