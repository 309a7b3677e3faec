package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/operations"
)

// connection is one to a mail server, for the mails of an attempt.
type connection struct {
	client *gomail.Client
	smtp   *smtp.Client
	conn   net.Conn
	// release lets the end of the context be.
	release func() bool
}

// longest bounds what a server takes for an answer, if the context does not.
const longest = 15 * time.Minute

// connect connects to a server, and logs in. The connection ends with ctx.
func connect(ctx context.Context, server *delivery.MailServer, dial DialFunc) (c *connection, err error) {
	password, err := server.Password.Read()
	if err != nil {
		return nil, err
	}
	c = new(connection)
	options := []gomail.Option{
		gomail.WithPort(server.Port), gomail.WithTimeout(longest), gomail.WithoutNoop(), gomail.WithoutRset(),
		gomail.WithTLSPolicy(gomail.NoTLS), gomail.WithTLSConfig(tlsConfig(server.Host)),
		gomail.WithDialContextFunc(func(dialing context.Context, network, _ string) (net.Conn, error) {
			conn, err := dial(dialing, network, net.JoinHostPort(server.Host, strconv.Itoa(server.Port)))
			if err == nil && server.TLS == delivery.ImplicitTLS {
				encrypted := tls.Client(conn, tlsConfig(server.Host))
				if err = encrypted.HandshakeContext(dialing); err != nil {
					conn.Close()
				}
				conn = encrypted
			}
			if err != nil {
				return nil, err
			}
			// From here on nothing else looks at the context.
			c.conn, c.release = conn, context.AfterFunc(ctx, func() { conn.Close() })
			return conn, nil
		}),
	}
	if server.TLS == delivery.StartTLS {
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if server.User != "" {
		// There is TLS, so the password may be sent.
		options = append(options, gomail.WithUsername(server.User), gomail.WithPassword(password), gomail.WithOpportunisticSMTPAuth(
			gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthSCRAMSHA1, gomail.SMTPAuthPlain, gomail.SMTPAuthLogin))
	}
	if c.client, err = gomail.NewClient(server.Host, options...); err != nil {
		return nil, err
	}
	if c.smtp, err = c.client.DialToSMTPClientWithContext(ctx); err != nil {
		c.close()
		return nil, ended(ctx, beforehand(err))
	}
	return c, nil
}

// tlsConfig is a variable for tests, whose servers nobody certifies.
var tlsConfig = func(host string) *tls.Config { return &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12} }

// send sends a mail. After an error the connection is of no use.
func (c *connection) send(ctx context.Context, m *gomail.Msg) error {
	err := c.client.SendWithSMTPClient(c.smtp, m)
	var failed *gomail.SendError
	if !errors.As(err, &failed) || failed.ErrorCode() == 0 {
		return ended(ctx, err)
	}
	// The rest is whom it was for, which is in the event.
	detail, _, _ := strings.Cut(failed.Error(), ", affected ")
	return judge(failed.ErrorCode(), detail)
}

// close says goodbye. It waits a second at most for an answer that nothing depends on.
func (c *connection) close() {
	if c.conn == nil {
		return
	}
	if c.smtp != nil {
		_ = c.conn.SetDeadline(time.Now().Add(time.Second))
		_ = c.smtp.Quit()
	}
	c.release()
	c.conn.Close()
}

// ended returns the error of a context that has ended instead of what came of that.
func ended(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// serviceNotAvailable is what a server answers that will have no more of this for a time.
const serviceNotAvailable = 421

// judge returns what the answer of a server to a mail means.
func judge(code int, detail string) error {
	err := &delivery.ResponseError{Protocol: "smtp", Status: code, Detail: operations.SanitizeText(detail)}
	switch {
	case code == serviceNotAvailable:
		return delivery.Throttled(err, 0)
	case code >= 500:
		return delivery.Permanent(err)
	}
	return err
}

// beforehand returns what an error means that came before there was a mail: whatever the server answered, it is not about the event.
func beforehand(err error) error {
	var answered *textproto.Error
	switch {
	case !errors.As(err, &answered):
		return fmt.Errorf("the mail server: %w", err)
	case answered.Code == serviceNotAvailable:
		return judge(answered.Code, answered.Msg)
	}
	return &delivery.ResponseError{Protocol: "smtp", Status: answered.Code, Detail: operations.SanitizeText(answered.Msg)}
}
