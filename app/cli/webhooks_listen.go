package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/delivery/webhook/verify"
	"github.com/57528e99/recount/httpapi/client"
)

// secretFlag gives a command the secrets to verify with.
func secretFlag(cmd *cobra.Command, secrets *[]string) {
	cmd.Flags().StringSliceVar(secrets, "secret", nil, "secret of the webhook, whsec_… or whpk_…; may be repeated")
	FromEnv(cmd.Flags(), "secret", "{PROGRAM}_WEBHOOK_SECRET")
}

// listener receives webhooks.
type listener struct {
	prog     *Program
	out      Output
	verifier *verify.Verifier // nil: nothing is verified
	forward  string           // empty: nowhere
}

func (prog *Program) webhooksListen() *cobra.Command {
	var address string
	var secrets []string
	l := &listener{prog: prog}
	cmd := &cobra.Command{
		Use:   "listen",
		Short: "Receive webhooks, verify them, and print them or pass them on",
		Long: `Receive webhooks, verify them, and print a line for each. With --forward they are sent on to another address as they came,
and its answer is the answer. What is not signed with one of the secrets is refused.`,
		Example: "  {program} webhooks listen --secret whsec_…\n  {program} webhooks listen --secret whsec_… --forward http://localhost:3000/hooks",
		Args:    NoArgs,
	}
	l.out = OutputFlag(cmd)
	secretFlag(cmd, &secrets)
	cmd.Flags().StringVar(&address, "listen", "127.0.0.1:9000", "address to listen on; port 0 takes a free one")
	cmd.Flags().StringVar(&l.forward, "forward", "", "URL to send on to")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if len(secrets) > 0 {
			if l.verifier, err = verify.New(secrets...); err != nil {
				return UsageError(cmd, "--secret: %v", err)
			}
		}
		if to, err := url.Parse(l.forward); l.forward != "" && (err != nil || to.Host == "") {
			return UsageError(cmd, "--forward must be a URL")
		}
		return l.run(cmd.Context(), address)
	}
	return cmd
}

func (l *listener) run(ctx context.Context, address string) error {
	ln, err := listen(address, "--listen")
	if err != nil {
		return err
	}
	fmt.Fprintf(l.prog.Stderr, "listening on %s\n", urlOf(ln))
	if l.verifier == nil {
		fmt.Fprintln(l.prog.Stderr, "without --secret nothing is verified: anybody may have sent it")
	}
	server := &http.Server{Handler: l, ReadHeaderTimeout: 10 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(ln); ctx.Err() == nil {
		return err
	}
	return context.Cause(ctx)
}

// webhookBodyLimit bounds what is read of a request, in bytes.
const webhookBodyLimit = 64 << 20

// arrival is a webhook that came, as it is printed.
type arrival struct {
	At       time.Time       `json:"at"`
	Verified bool            `json:"verified"`
	Status   int             `json:"status"`
	ID       string          `json:"id"`
	Attempt  string          `json:"attempt,omitempty"`
	Error    string          `json:"error,omitempty"`
	Body     json.RawMessage `json:"body,omitempty"`
}

// ServeHTTP implements http.Handler.
func (l *listener) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a := arrival{At: time.Now().UTC(), Status: http.StatusNoContent, ID: r.Header.Get("webhook-id"), Attempt: r.Header.Get("X-Delivery-Attempt")}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, webhookBodyLimit))
	if err == nil && json.Valid(body) {
		a.Body = body
	}
	refusal := http.StatusBadRequest // who sent it has gone, most likely
	switch {
	case errors.As(err, new(*http.MaxBytesError)):
		refusal = http.StatusRequestEntityTooLarge
	case err == nil && l.verifier != nil:
		err, refusal = l.verifier.Verify(r.Header, body), http.StatusUnauthorized
	}
	var answer []byte
	a.Verified = l.verifier != nil && err == nil
	switch {
	case err != nil:
		a.Status, a.Error, answer = refusal, err.Error(), []byte(err.Error())
	case l.forward != "":
		got, err := client.Do(r.Context(), onServer, client.Request{Method: r.Method, URL: l.forward, Header: passedOn(r.Header), Body: body})
		if err != nil {
			a.Status, a.Error = http.StatusBadGateway, err.Error()
			break
		}
		a.Status, answer = got.Status, got.Body
		for _, name := range []string{"Content-Type", "Location", "Retry-After", "Webhook-Delivery"} {
			if value := got.Header.Get(name); value != "" {
				w.Header().Set(name, value)
			}
		}
	}
	w.WriteHeader(a.Status)
	_, _ = w.Write(answer)
	l.print(a)
}

// passedOn returns the headers of a request that are its sender's.
func passedOn(h http.Header) http.Header {
	h = h.Clone()
	for _, name := range []string{"Connection", "Content-Length", "Transfer-Encoding", "Accept-Encoding", "Te", "Trailer", "Upgrade"} {
		h.Del(name)
	}
	return h
}

func (l *listener) print(a arrival) {
	var b bytes.Buffer
	if l.out.JSON() {
		_ = encoder(&b).Encode(a) // it was JSON
	} else {
		var e struct{ Type, Stream string }
		_ = json.Unmarshal(a.Body, &e) // it may be any JSON
		verified := map[bool]string{true: "verified", false: "not verified"}[a.Verified]
		fmt.Fprintln(&b, strings.TrimSpace(fmt.Sprintf("%s  %d  %s  %s  %s  attempt %s  %s  %s", a.At.Format(time.TimeOnly), a.Status, verified,
			Cell(e.Type, 60), Cell(e.Stream, 60), Cell(a.Attempt, 10), Cell(a.ID, 60), Cell(a.Error, 200))))
	}
	_, _ = l.prog.Stdout.Write(b.Bytes())
}
