package adminapi

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/webhook"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/httpapi"
)

// WebhookConfig is what the routes of webhooks need beside subscriptions.
type WebhookConfig struct {
	// Key is what secrets are derived from. Default: webhooks must bring their own.
	Key *webhook.MasterKey
	// Allow are networks that may be connected to although they are not public, and by plain HTTP.
	Allow []netip.Prefix
}

// webhookRoutes are routes about webhooks: subscriptions with a target of theirs, whose names begin with webhookPrefix.
type webhookRoutes struct {
	subscriptions *delivery.Admin
	config        WebhookConfig
}

const (
	webhookPath = "/v1/webhooks/{id}"
	// webhookPrefix and behindWebhooks are before and behind all names of webhooks.
	webhookPrefix  = delivery.WebhookPrefix
	behindWebhooks = "webhook/"
)

// RegisterWebhooks adds the routes of webhooks to an API that was made with Problems, in a section of their own.
func RegisterWebhooks(a *httpapi.API, program string, subscriptions *delivery.Admin, c WebhookConfig) {
	r := webhookRoutes{subscriptions, c}
	a.Section("webhooks", inWordsOf(program, slices.Concat(ofWebhooks, ofSubscriptions))...)
	version := func(w Webhook) int64 { return w.Revision }
	httpapi.Read(a, "/v1/webhooks", webhookQueryOf, r.list)
	httpapi.Action(a, http.MethodPost, "/v1/webhooks", httpapi.ActionOptions[Webhook]{Created: func(Webhook) bool { return true }}, r.create)
	httpapi.Read(a, webhookPath, httpapi.NoParams, r.show)
	httpapi.Action(a, http.MethodPatch, webhookPath, httpapi.ActionOptions[Webhook]{Version: version}, r.change)
	httpapi.Action(a, http.MethodDelete, webhookPath, httpapi.ActionOptions[delivery.Change]{Flags: []string{flagDiscardDead}}, r.remove)
	httpapi.Action(a, http.MethodPost, webhookPath+"/rotate", httpapi.ActionOptions[Webhook]{Version: version}, r.rotate)
	// No read: what has a secret is kept by nobody on the way.
	httpapi.Action(a, http.MethodPost, webhookPath+"/secret", httpapi.ActionOptions[httpapi.Page[webhook.Secret]]{}, r.secrets)
	httpapi.Action(a, http.MethodPost, webhookPath+"/test", httpapi.ActionOptions[delivery.AttemptRecord]{}, r.test)
	httpapi.Action(a, http.MethodPost, webhookPath+"/resend", httpapi.ActionOptions[delivery.Resent]{}, r.resend)
	httpapi.Action(a, http.MethodPost, webhookPath+"/recover", httpapi.ActionOptions[delivery.Recovered]{}, r.recover)
	httpapi.Action(a, http.MethodPost, webhookPath+"/replay-missing", httpapi.ActionOptions[delivery.Replay]{}, r.replayMissing)
	httpapi.Read(a, webhookPath+"/attempts", attemptsQueryOf, r.attempts)
}

type webhookQuery struct {
	owner, after string
	limit        int
}

func webhookQueryOf(p *httpapi.Params) webhookQuery {
	return webhookQuery{p.Text("owner"), p.Cursor("after"), p.Limit(100, 1000)}
}

func (r webhookRoutes) list(ctx context.Context, in httpapi.ReadRequest[webhookQuery]) (page httpapi.Page[Webhook], err error) {
	q := in.Params
	all, err := r.subscriptions.ListPage(ctx, delivery.ListQuery{After: webhookPrefix + q.after, Before: behindWebhooks, Owner: q.owner, Limit: q.limit + 1})
	if err != nil {
		return page, err
	}
	page.Items = []Webhook{}
	for i := range all {
		if i == q.limit {
			page.Next = httpapi.Cursor(strings.TrimPrefix(all[i-1].Name, webhookPrefix))
			break
		}
		// A subscription that somebody has called so may have another target.
		if all[i].Definition.Target.Webhook != nil {
			page.Items = append(page.Items, webhookOf(&all[i]))
		}
	}
	return page, nil
}

// get returns a webhook as the subscription that it is.
func (r webhookRoutes) get(ctx context.Context, id string) (delivery.Status, error) {
	s, err := r.subscriptions.Get(ctx, webhookPrefix+id)
	if err == nil && s.Definition.Target.Webhook == nil || errors.Is(err, delivery.ErrNotFound) {
		return s, fmt.Errorf("%w: %q", errWebhookNotFound, id)
	}
	return s, err
}

func (r webhookRoutes) show(ctx context.Context, in httpapi.ReadRequest[struct{}]) (Webhook, error) {
	s, err := r.get(ctx, in.Path("id"))
	if err != nil {
		return Webhook{}, err
	}
	return webhookOf(&s), nil
}

var webhookIDs = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// create makes a webhook. Its secrets are in the answer.
func (r webhookRoutes) create(ctx context.Context, in httpapi.ActionRequest[webhookBody]) (Webhook, error) {
	b := in.Body
	if err := mayForward(in.Caller); err != nil {
		return Webhook{}, err
	}
	if b.ID == "" {
		random := make([]byte, 10)
		_, _ = rand.Read(random) // it never fails
		b.ID = webhookIDs.EncodeToString(random)
	}
	t := &delivery.WebhookTarget{Secret: b.Secret, Signature: b.Signature}
	d := delivery.Definition{
		Name: webhookPrefix + b.ID, Start: b.Start, Key: delivery.Key{By: delivery.ByNone}, Partitions: 1, Target: delivery.TargetConfig{Webhook: t},
		LogAttempts: delivery.LogAll,
		// Some four days: soon at first, then every few hours.
		Retry: delivery.Retry{MaxAttempts: 30, MaxAge: delivery.Duration(120 * time.Hour), First: delivery.Duration(5 * time.Second), Factor: 5, Cap: delivery.Duration(8 * time.Hour)},
	}
	if b.Secret == nil {
		if r.config.Key == nil {
			return Webhook{}, webhook.ErrNoMasterKey
		}
		t.Keys = []delivery.SigningKey{{ID: r.config.Key.NewKeyID(d.Name)}}
	}
	b.into(&d)
	if err := r.checkURL(ctx, &b); err != nil {
		return Webhook{}, err
	}
	if err := r.put(ctx, d, delivery.NotThere, in.Actor); err != nil {
		if errors.Is(err, delivery.ErrRevision) {
			err = fmt.Errorf("%w: %q", errWebhookExists, b.ID)
		}
		return Webhook{}, err
	}
	return r.withSecrets(ctx, b.ID)
}

// checkURL refuses a URL to which this server knows that nothing can ever be sent.
func (r webhookRoutes) checkURL(ctx context.Context, b *webhookBody) error {
	if b.URL == nil {
		return nil
	}
	var why string
	if err := webhook.CheckAddress(ctx, *b.URL, r.config.Allow); err != nil {
		why = "cannot be sent to: " + err.Error()
	}
	if len(r.config.Allow) == 0 && strings.HasPrefix(strings.ToLower(*b.URL), "http:") {
		why = "must be https: by http who is on the way reads all"
	}
	if why == "" {
		return nil
	}
	return &delivery.InvalidError{Mistakes: []*delivery.FieldError{{Pointer: "/url", Reason: why}}}
}

func (r webhookRoutes) put(ctx context.Context, d delivery.Definition, revision int64, actor string) error {
	_, err := r.subscriptions.Put(ctx, d, delivery.PutOptions{IfRevision: revision, Actor: actorOr(actor)})
	return inBody(err)
}

func (r webhookRoutes) withSecrets(ctx context.Context, id string) (Webhook, error) {
	s, err := r.get(ctx, id)
	if err != nil {
		return Webhook{}, err
	}
	w := webhookOf(&s)
	if s.Definition.Target.Webhook.Secret == nil {
		w.Secrets, err = r.config.Key.Secrets(s.Definition)
	}
	return w, err
}

// change changes the members that are there. A webhook that is enabled goes on, with what waits.
func (r webhookRoutes) change(ctx context.Context, in httpapi.ActionRequest[webhookBody]) (Webhook, error) {
	if err := cmp.Or(mayForward(in.Caller), in.Body.onlyChanges()); err != nil {
		return Webhook{}, err
	}
	if err := r.checkURL(ctx, &in.Body); err != nil {
		return Webhook{}, err
	}
	id := in.Path("id")
	err := r.edit(ctx, id, in.Expected, in.Actor, func(d *delivery.Definition) error {
		in.Body.into(d)
		return nil
	})
	if err != nil {
		return Webhook{}, err
	}
	if in.Body.State == webhookEnabled {
		// The receiver may have said that it is gone.
		if err := r.subscriptions.Resume(ctx, webhookPrefix+id, actorOr(in.Actor)); err != nil {
			return Webhook{}, err
		}
	}
	s, err := r.get(ctx, id)
	if err != nil {
		return Webhook{}, err
	}
	return webhookOf(&s), nil
}

// edit changes the definition of a webhook that is as a request demands. Where that names no revision, a change of another that
// came between is no conflict: what is changed of this one is changed of that too.
func (r webhookRoutes) edit(ctx context.Context, id string, expected eventstore.ExpectedVersion, actor string, change func(*delivery.Definition) error) error {
	_, exact := expected.Exact()
	for try := 1; ; try++ {
		s, err := r.expected(ctx, id, expected)
		if err != nil {
			return err
		}
		if err := change(&s.Definition); err != nil {
			return err
		}
		err = r.put(ctx, s.Definition, s.Revision, actor)
		if exact || try == maxEdits || !errors.Is(err, delivery.ErrRevision) {
			return err
		}
	}
}

// maxEdits is how often a change is tried that others come before.
const maxEdits = 20

func (r webhookRoutes) remove(ctx context.Context, in httpapi.ActionRequest[struct{}]) (delivery.Change, error) {
	s, err := r.get(ctx, in.Path("id"))
	if err != nil {
		return delivery.Change{}, err
	}
	return delivery.Change{Subscription: s.Name, Done: delivery.Deleted}, r.subscriptions.Delete(ctx, s.Name, 0, in.Flag(flagDiscardDead), actorOr(in.Actor))
}

// rotateBody says for how long the secrets of before sign as well. Default: a day.
type rotateBody struct {
	Overlap *delivery.Duration `json:"overlap"`
}

const (
	defaultOverlap = 24 * time.Hour
	maxOverlap     = 30 * 24 * time.Hour
)

// rotate gives a webhook a new secret. All are in the answer.
func (r webhookRoutes) rotate(ctx context.Context, in httpapi.ActionRequest[rotateBody]) (Webhook, error) {
	overlap := defaultOverlap
	if in.Body.Overlap != nil {
		overlap = time.Duration(*in.Body.Overlap)
	}
	if overlap < 0 || overlap > maxOverlap {
		return Webhook{}, &delivery.InvalidError{Mistakes: []*delivery.FieldError{{Pointer: "/overlap", Reason: fmt.Sprintf("must be from 0s to %s", delivery.Duration(maxOverlap))}}}
	}
	err := r.edit(ctx, in.Path("id"), in.Expected, in.Actor, func(d *delivery.Definition) error { return r.rotated(d, overlap) })
	if err != nil {
		return Webhook{}, err
	}
	return r.withSecrets(ctx, in.Path("id"))
}

// rotated gives a definition a new key, and ends those of before after a time.
func (r webhookRoutes) rotated(d *delivery.Definition, overlap time.Duration) error {
	t := *d.Target.Webhook
	switch {
	case t.Secret != nil:
		return fmt.Errorf("%w: it is in %s", errOwnSecret, *t.Secret)
	case r.config.Key == nil:
		return webhook.ErrNoMasterKey
	}
	now := time.Now()
	keys := []delivery.SigningKey{{ID: r.config.Key.NewKeyID(d.Name)}}
	for _, k := range t.Keys {
		if end := now.Add(overlap); k.Until.IsZero() || k.Until.After(end) {
			k.Until = end
		}
		if k.Until.After(now) {
			keys = append(keys, k)
		}
	}
	if len(keys) > delivery.MaxSigningKeys {
		return &delivery.InvalidError{Mistakes: []*delivery.FieldError{{Pointer: "/overlap",
			Reason: fmt.Sprintf("leaves %d secrets, and %d may sign: wait until %s, when the next of before ends, or end all of them with 0s",
				len(keys), delivery.MaxSigningKeys, slices.MinFunc(keys[1:], func(a, b delivery.SigningKey) int { return a.Until.Compare(b.Until) }).Until.UTC().Format(time.RFC3339))}}}
	}
	t.Keys, d.Target.Webhook = keys, &t
	return nil
}

// secrets shows the secrets of a webhook. Who has seen them is in the audit before they are in the answer.
func (r webhookRoutes) secrets(ctx context.Context, in httpapi.ActionRequest[struct{}]) (page httpapi.Page[webhook.Secret], err error) {
	s, err := r.get(ctx, in.Path("id"))
	if err != nil {
		return page, err
	}
	if own := s.Definition.Target.Webhook.Secret; own != nil {
		return page, fmt.Errorf("%w: it is in %s", errOwnSecret, *own)
	}
	if page.Items, err = r.config.Key.Secrets(s.Definition); err != nil {
		return page, err
	}
	if err := r.subscriptions.Note(ctx, s.Name, "show secrets", "", actorOr(in.Actor)); err != nil {
		return httpapi.Page[webhook.Secret]{}, err
	}
	return page, nil
}

// sendTimeout bounds what is sent while a client waits.
const sendTimeout = delivery.Duration(5 * time.Second)

// target returns what sends to a webhook from here.
func (r webhookRoutes) target(s *delivery.Status) (*webhook.Target, error) {
	d := s.Definition
	t := *d.Target.Webhook
	t.Timeout, d.Target.Webhook = min(t.Timeout, sendTimeout), &t
	return webhook.NewSigned(d, r.config.Allow, r.config.Key)
}

func (r webhookRoutes) test(ctx context.Context, in httpapi.ActionRequest[struct{}]) (a delivery.AttemptRecord, err error) {
	s, err := r.get(ctx, in.Path("id"))
	if err != nil {
		return a, err
	}
	t, err := r.target(&s)
	if err != nil {
		return a, err
	}
	defer t.Close()
	return r.subscriptions.SendTest(ctx, s.Name, t, actorOr(in.Actor))
}

// resendBody says which event to send again.
type resendBody struct {
	Position int64 `json:"position" http:"required"`
}

func (r webhookRoutes) resend(ctx context.Context, in httpapi.ActionRequest[resendBody]) (done delivery.Resent, err error) {
	if err := checkPosition(in.Body.Position); err != nil {
		return done, err
	}
	s, err := r.get(ctx, in.Path("id"))
	if err != nil {
		return done, err
	}
	t, err := r.target(&s)
	if err != nil {
		return done, err
	}
	defer t.Close()
	return r.subscriptions.Resend(ctx, s.Name, in.Body.Position, t, actorOr(in.Actor))
}

// recoverBody says since when what failed is tried again, or what was recorded is sent.
type recoverBody struct {
	Since time.Time `json:"since" http:"required"`
}

func (r webhookRoutes) recover(ctx context.Context, in httpapi.ActionRequest[recoverBody]) (done delivery.Recovered, err error) {
	s, err := r.get(ctx, in.Path("id"))
	if err != nil {
		return done, err
	}
	return r.subscriptions.Recover(ctx, s.Name, in.Body.Since, actorOr(in.Actor))
}

// replayMissing sends a webhook what was recorded since a time, before it was made.
func (r webhookRoutes) replayMissing(ctx context.Context, in httpapi.ActionRequest[recoverBody]) (done delivery.Replay, err error) {
	s, err := r.get(ctx, in.Path("id"))
	if err != nil {
		return done, err
	}
	return r.subscriptions.ReplayMissing(ctx, s.Name, in.Body.Since, actorOr(in.Actor))
}

func attemptsQueryOf(p *httpapi.Params) delivery.AttemptsQuery {
	return delivery.AttemptsQuery{Position: p.Int("position", 0, 0, 1<<53-1), Failed: p.Flag("failed"), Limit: p.Limit(100, 1000), Cursor: p.Cursor("after")}
}

func (r webhookRoutes) attempts(ctx context.Context, in httpapi.ReadRequest[delivery.AttemptsQuery]) (page httpapi.Page[delivery.EventAttempt], err error) {
	s, err := r.get(ctx, in.Path("id"))
	if err != nil {
		return page, err
	}
	items, next, err := r.subscriptions.Attempts(ctx, s.Name, in.Params)
	return httpapi.Page[delivery.EventAttempt]{Items: items, Next: httpapi.Cursor(next)}, err
}
