package mail

import (
	"context"
	"errors"
	"fmt"
	"net"
	text "text/template"

	gomail "github.com/wneessen/go-mail"

	"github.com/57528e99/recount/delivery"
)

// Target sends a mail for each event of a subscription.
type Target struct {
	server   *delivery.MailServer
	dial     DialFunc
	from     string
	to       *text.Template
	template *Template
}

var _ delivery.Target = (*Target)(nil)

// Target returns the target of a subscription that goes to delivery.EmailTarget. Nothing is connected to before something is delivered.
func (m *Mailer) Target(d delivery.Definition) (*Target, error) {
	d, err := d.Checked()
	if err != nil {
		return nil, err
	}
	c := d.Target.Email
	t := &Target{server: c.Server, dial: m.config.Dial, from: c.From}
	if t.server == nil {
		// The guard is for what others say in definitions.
		t.server, t.dial = m.config.Server, new(net.Dialer).DialContext
	}
	if t.server == nil {
		return nil, fmt.Errorf("%w, and the definition names none", ErrNoServer)
	}
	if t.to, err = parseInline("to", c.To); err != nil {
		return nil, err
	}
	t.template, err = m.Template(c.Template)
	return t, err
}

// Deliver implements delivery.Target.
func (t *Target) Deliver(ctx context.Context, d *delivery.Delivery) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	failed, keys := make(map[int]error), make(map[string]bool)
	s := sending{t: t, ctx: ctx}
	defer s.close()
	for i := range d.Events {
		e := &d.Events[i]
		if keys[e.Key] {
			failed[i] = errNotTried
			continue
		}
		if err := s.tell(d.Subscription, e); err != nil {
			failed[i], keys[e.Key] = err, true
		}
	}
	switch {
	case len(failed) == 0:
		return nil
	case len(d.Events) == 1:
		return failed[0]
	}
	return &delivery.PartialError{Failed: failed}
}

var errNotTried = errors.New("not tried: one of its key before it failed")

// Mail returns the mail for an event as it is delivered; nil: there is nothing to send. Of an id there is none yet.
func (t *Target) Mail(e []byte) (*Mail, error) {
	data, err := EventData(e)
	if err != nil {
		return nil, delivery.Permanent(err)
	}
	to, err := line(t.to, data)
	if to == "" || err != nil {
		return nil, err
	}
	content, err := t.template.Execute(data)
	return &Mail{From: t.from, To: to, Content: content}, err
}

// sending is what an attempt sends mails with. It connects when there is one to send, and again after one that failed.
type sending struct {
	t    *Target
	ctx  context.Context
	conn *connection
	// lost is why nothing more is tried.
	lost error
}

func (s *sending) close() {
	if s.conn != nil {
		s.conn.close()
		s.conn = nil
	}
}

// tell sends the mail for an event.
func (s *sending) tell(subscription string, e *delivery.Event) error {
	mail, err := s.t.Mail(e.AppendJSON(nil))
	if mail == nil || err != nil {
		return err
	}
	mail.ID, mail.At = ID(subscription, e.MessageID), e.RecordedAt
	made, err := mail.message()
	if err != nil {
		return err
	}
	return s.send(made)
}

func (s *sending) send(m *gomail.Msg) (err error) {
	if s.lost != nil {
		return s.lost
	}
	if s.conn == nil {
		if s.conn, err = connect(s.ctx, s.t.server, s.t.dial); err != nil {
			s.lost = err
			return err
		}
	}
	if err = s.conn.send(s.ctx, m); err != nil {
		s.close()
		if outcome, _ := delivery.OutcomeOf(err); outcome == delivery.ThrottledOutcome || s.ctx.Err() != nil {
			s.lost = err
		}
	}
	return err
}
