package mail

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/emersion/go-smtp"
	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/mail/inbox"
	"github.com/57528e99/recount/delivery/targettest"
	"github.com/57528e99/recount/eventstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server starts a mail server that answers as take says to each mail.
func server(t *testing.T, take func(inbox.Mail) error) *delivery.MailServer {
	t.Helper()
	b, err := inbox.Start(inbox.Config{Take: take})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	s := b.Server()
	return &s
}

var files = fstest.MapFS{
	"event.txt":  {Data: []byte("{{.json}}")},
	"order.txt":  {Data: []byte("Thank you, {{.data.name}}.\n{{decimal 2 .data.total_minor}}\n")},
	"order.html": {Data: []byte("<p>Thank you, <b>{{.data.name}}</b>.</p>\n")},
	"broken.txt": {Data: []byte("{{if}}")},
}

func newTarget(t *testing.T, c delivery.EmailTarget, on *delivery.MailServer) *Target {
	t.Helper()
	m, err := NewMailer(Config{Server: on, Templates: files})
	if err != nil {
		t.Fatal(err)
	}
	target, err := m.Target(delivery.Definition{Name: "big-orders", Target: delivery.TargetConfig{Email: &c}})
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func TestTarget(t *testing.T) {
	targettest.Run(t, func(t *testing.T) *targettest.Fixture {
		f := &targettest.Fixture{Says: []delivery.Outcome{delivery.Transient, delivery.PermanentFailure, delivery.ThrottledOutcome}, SaysWhich: true}
		on := server(t, func(m inbox.Mail) error {
			var e struct {
				MessageID  uuid.UUID       `json:"message_id"`
				Type       string          `json:"type"`
				Data       json.RawMessage `json:"data"`
				DataBase64 []byte          `json:"data_base64"`
			}
			if err := json.Unmarshal([]byte(m.Text), &e); err != nil {
				t.Errorf("the text is %.1000q: %v", m.Text, err)
			}
			if want := "<" + e.MessageID.String() + ".big-orders@example.com>"; m.MessageID != want {
				t.Errorf("the Message-ID is %s, want %s", m.MessageID, want)
				fmt.Printf("caught\t%s\t0\ta mail that is not a repetition has a Message-ID of its own\n", t.Name())
			}
			a := f.Receive(context.Background(), []targettest.Arrival{{MessageID: e.MessageID, Type: e.Type, Data: slices.Concat(e.Data, e.DataBase64)}})
			switch {
			case a.Outcome == delivery.PermanentFailure:
				return &smtp.SMTPError{Code: 550, Message: "no such mailbox"}
			case a.Outcome == delivery.ThrottledOutcome:
				return &smtp.SMTPError{Code: 421, Message: "too many mails"}
			case a.Outcome != delivery.Done, slices.Contains(a.Failed, e.MessageID):
				return &smtp.SMTPError{Code: 451, Message: "try later"}
			}
			return nil
		})
		f.Target = newTarget(t, delivery.EmailTarget{From: "Shop <shop@example.com>", To: "ann@example.com",
			Template: delivery.MailTemplate{Subject: "{{.type}}", Text: "event.txt"}}, on)
		return f
	})
}

// placed is an attempt to deliver an order.
func placed(data string) *delivery.Delivery {
	e := &eventstore.RecordedEvent{Event: eventstore.Event{ID: uuid.New(), Type: "OrderPlaced", SchemaVersion: 1, ContentType: eventstore.ContentTypeJSON,
		Data: []byte(data)}, Stream: "order-1", Position: 7}
	return &delivery.Delivery{Subscription: "order.mails", Events: []delivery.Event{
		{RecordedEvent: e, MessageID: delivery.MessageID(uuid.New(), e), Key: e.Stream, Attempt: 1}}}
}

var toCustomer = delivery.EmailTarget{
	From: "Shop <shop@example.com>", To: `{{with index .data "email"}}{{.}}{{end}}`,
	Template: delivery.MailTemplate{Subject: "Order of {{.data.name}}\n", Text: "order.txt", HTML: "order.html"},
}

func TestMails(t *testing.T) {
	t.Parallel()
	var came []inbox.Mail
	target := newTarget(t, toCustomer, server(t, func(m inbox.Mail) error {
		came = append(came, m)
		return nil
	}))
	for _, c := range []struct {
		name, data string
		// error is part of the error, which is permanent; empty: the mail is sent.
		error                   string
		to, subject, text, html string
	}{
		{"content", `{"email":"Ann <ann@example.com>","name":"Ann","total_minor":9000}`, "",
			"\"Ann\" <ann@example.com>", "Order of Ann", "Thank you, Ann.\n90.00\n", "<p>Thank you, <b>Ann</b>.</p>\n"},
		{"not ASCII", `{"email":"ann@example.com","name":"Änn ☃","total_minor":-5}`, "",
			"<ann@example.com>", "Order of Änn ☃", "Thank you, Änn ☃.\n-0.05\n", "<p>Thank you, <b>Änn ☃</b>.</p>\n"},
		{"no code", `{"email":"ann@example.com","name":"<script>{{.}}","total_minor":0}`, "",
			"<ann@example.com>", "Order of <script>{{.}}", "Thank you, <script>{{.}}.\n0.00\n", "<p>Thank you, <b>&lt;script&gt;{{.}}</b>.</p>\n"},
		{"no header of its own", `{"email":"ann@example.com","name":"a\r\nBcc: eve@example.com\r\n\r\nHi\u2028you","total_minor":1}`, "",
			"<ann@example.com>", "Order of a Bcc: eve@example.com Hi you", "", ""},
		{"no second address", `{"email":"ann@example.com, eve@example.com","name":"Ann","total_minor":1}`, "eve@example.com", "", "", "", ""},
		{"no command of its own", `{"email":"ann@example.com>\r\nRCPT TO:<eve@example.com","name":"Ann","total_minor":1}`, "RCPT", "", "", "", ""},
		{"nobody to write to", `{"email":null,"name":"Ann","total_minor":1}`, "", "", "", "", ""},
		{"missing", `{"email":"ann@example.com","name":"Ann"}`, `no entry for key "total_minor"`, "", "", "", ""},
		{"null", `{"email":"ann@example.com","name":"Ann","total_minor":null}`, `no entry for key "total_minor"`, "", "", "", ""},
		{"no number", `{"email":"ann@example.com","name":"Ann","total_minor":1.5}`, "a whole number", "", "", "", ""},
	} {
		came = nil
		d := placed(c.data)
		err := target.Deliver(t.Context(), d)
		if outcome, _ := delivery.OutcomeOf(err); c.error != "" {
			if err == nil || outcome != delivery.PermanentFailure || !strings.Contains(err.Error(), c.error) || len(came) > 0 {
				t.Errorf("%s: Deliver = %v (%s), %d mails, want a permanent failure about %s", c.name, err, outcome, len(came), c.error)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: Deliver = %v", c.name, err)
			continue
		}
		if c.to == "" {
			if len(came) > 0 {
				t.Errorf("%s: a mail was sent to %s", c.name, came[0].To)
			}
			continue
		}
		if len(came) != 1 {
			t.Errorf("%s: %d mails were sent", c.name, len(came))
			continue
		}
		m := came[0]
		if m.To != c.to || m.Subject != c.subject || m.From != "\"Shop\" <shop@example.com>" || c.text != "" && (m.Text != c.text || m.HTML != c.html) ||
			m.MessageID != "<"+d.Events[0].MessageID.String()+".order=mails@example.com>" || len(m.Recipients) != 1 || m.Recipients[0] != "ann@example.com" ||
			bytes.Contains(m.Header, []byte("\nBcc")) {
			t.Errorf("%s: the mail is %+v\n%s", c.name, m, m.Header)
		}
	}
}

// TestAnswers: what a server may answer, at each step, and what that means.
func TestAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		// at is the command that is answered so: greeting is none.
		at, answer string
		want       delivery.Outcome
		says       string
	}{
		{"greeting", "421 busy", delivery.ThrottledOutcome, "answered 421: busy"},
		{"greeting", "554 no mails here", delivery.Transient, "answered 554: no mails here"},
		{"greeting", "", delivery.Transient, "EOF"},
		{"MAIL", "451 later", delivery.Transient, `451 "later"`},
		{"MAIL", "550 not from you", delivery.PermanentFailure, `550 "not from you"`},
		{"MAIL", "421 slower", delivery.ThrottledOutcome, `421 "slower"`},
		{"RCPT", "450 greylisted", delivery.Transient, `450 "greylisted"`},
		{"RCPT", "550 5.1.1 unknown", delivery.PermanentFailure, `550 "5.1.1 unknown"`},
		{"DATA", "452 disk full", delivery.Transient, `452 "disk full"`},
		{"DATA", "", delivery.Transient, "EOF"},
		{".", "554 looks like spam", delivery.PermanentFailure, `554 "looks like spam"`},
		{".", "421 shutting down", delivery.ThrottledOutcome, `421 "shutting down"`},
		{".", "", delivery.Transient, "EOF"},
		{"QUIT", "", delivery.Done, ""},
		{"QUIT", "500 what?", delivery.Done, ""},
	} {
		on := scripted(t, c.at, c.answer)
		err := newTarget(t, toCustomer, on).Deliver(t.Context(), placed(`{"email":"ann@example.com","name":"Ann","total_minor":9000}`))
		if outcome, _ := delivery.OutcomeOf(err); outcome != c.want || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s answered %q: Deliver = %v (%s), want %s with %s", c.at, c.answer, err, outcome, c.want, c.says)
		}
	}
}

// scripted starts a mail server that answers as mail servers do, but for one command; without an answer it hangs up.
func scripted(t *testing.T, at, answer string) *delivery.MailServer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { ln.Close(); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			converse(conn, at, answer)
			conn.Close()
		}
	}()
	return &delivery.MailServer{Host: "127.0.0.1", Port: ln.Addr().(*net.TCPAddr).Port, TLS: delivery.NoTLS}
}

func converse(conn net.Conn, at, answer string) {
	say := func(command, usual string) bool {
		if command == at {
			usual = answer
		}
		if usual == "" {
			return false
		}
		_, err := io.WriteString(conn, usual+"\r\n")
		return err == nil
	}
	if !say("greeting", "220 ready") {
		return
	}
	lines := textLines(conn)
	for text := range lines {
		command, _, _ := strings.Cut(text, " ")
		usual := "250 ok"
		switch command {
		case "DATA":
			usual = "354 go on"
		case "QUIT":
			usual = "221 bye"
		}
		if !say(command, usual) {
			return
		}
		if command == "DATA" && (at != "DATA") {
			for text := range lines {
				if text == "." {
					break
				}
			}
			if !say(".", "250 taken") {
				return
			}
		}
	}
}

// textLines are the lines of a connection. Who stops can go on with the next.
func textLines(conn net.Conn) iter.Seq[string] {
	s := bufio.NewScanner(conn)
	return func(yield func(string) bool) {
		for s.Scan() && yield(s.Text()) {
		}
	}
}

// TestATemplateEnds, whatever it loops over, in a subject and in HTML.
func TestATemplateEnds(t *testing.T) {
	t.Parallel()
	for source, fails := range map[string]bool{
		`{{range 9000000000}}{{end}}`: true,
		`<p title="{{if true}}{{with 1}}{{range 90000}}{{range 90000}}{{continue}}{{end}}{{end}}{{end}}{{end}}">`:                                true,
		`{{define "half"}}{{if .}}{{template "half" slice . 1}}{{template "half" slice . 1}}{{end}}{{end}}{{template "half" (printf "%60d" 1)}}`: true,
		`{{define "each"}}{{range 300}}{{end}}{{end}}<ul>{{range .Many}}<li>{{template "each" .}}</li>{{else}}none{{end}}</ul>`:                  false,
	} {
		subject, err := parseInline("subject", source)
		page, htmlErr := parseHTML("html", source)
		if err := cmp.Or(err, htmlErr); err != nil {
			t.Fatal(err)
		}
		for _, parsed := range []executable{subject, page} {
			made, err := execute(parsed, map[string]any{"Many": make([]int, 40)})
			if outcome, _ := delivery.OutcomeOf(err); errors.Is(err, errTooMuch) != fails || fails != (outcome == delivery.PermanentFailure) ||
				!fails && made != "<ul>"+strings.Repeat("<li></li>", 40)+"</ul>" {
				t.Errorf("%s yields %.200q, %v", source, made, err)
			}
		}
	}
}

// TestATemplateCannotTakeTheMemory, as the bound of what it yields alone would let it.
func TestATemplateCannotTakeTheMemory(t *testing.T) {
	t.Parallel()
	for source, fails := range map[string]bool{
		`{{printf "%1000000s" "x"}}`: true,
		`{{printf "%*d" 1000000 1}}`: true,
		`{{printf "%.9999f" 1.5}}`:   true,
		`{{$x := "0123456789"}}{{range .Many}}{{$x = print $x $x}}{{end}}{{len $x}}`:                                         true,
		`{{$x := "0123456789"}}{{range .Many}}{{$x = html $x "<<<<<<<<" $x}}{{end}}`:                                         true,
		`{{$x := "0123456789"}}{{range .Many}}{{$x = printf "%[1]s%[1]s" $x}}{{end}}`:                                        true,
		`{{printf "%08.3f %-20s %x %%" 1.5 "ann" "id"}}{{print 1 "a"}}{{println 2}}{{html "<"}}{{js "'"}}{{urlquery "a b"}}`: false,
	} {
		parsed, err := parseInline("subject", source)
		if err != nil {
			t.Fatal(err)
		}
		made, err := execute(parsed, map[string]any{"Many": make([]int, 40)})
		if want := "0001.500 ann                  6964 %1a2\n&lt;\\'a+b"; (err != nil) != fails || !fails && made != want {
			t.Errorf("%s yields %.200q, %v", source, made, err)
		}
	}
}
