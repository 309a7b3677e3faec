package webhook

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/webhook/verify"
)

const theMasterKey = "0123456789abcdef0123456789abcdef"

func masterKey(t testing.TB) *MasterKey {
	t.Helper()
	k, err := NewMasterKey(theMasterKey)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// webhook returns the definition of one with so many keys.
func webhook(k *MasterKey, url string, scheme delivery.Signature, keys int) delivery.Definition {
	d := delivery.Definition{Name: "webhook.acme", LogAttempts: delivery.LogAll,
		Target: delivery.TargetConfig{Webhook: &delivery.WebhookTarget{HTTPTarget: delivery.HTTPTarget{URL: url}, Signature: scheme}}}
	for range keys {
		d.Target.Webhook.Keys = append(d.Target.Webhook.Keys, delivery.SigningKey{ID: k.NewKeyID(d.Name)})
	}
	return d
}

func signedTarget(t testing.TB, d delivery.Definition, k *MasterKey) *Target {
	t.Helper()
	target, err := NewSigned(d, loopback, k)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(target.Close)
	return target
}

// received is a request that came.
type received struct {
	header http.Header
	body   []byte
}

func signedReceiver(t testing.TB, answer http.HandlerFunc) (url string, came *[]received) {
	came = new([]received)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		*came = append(*came, received{r.Header, body})
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL, came
}

func answerOK(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "taken") }

// TestSignaturesAreThoseOfTheStandard: the public library and the verifier of this one take each of them, by each of the keys
// that are in force, and nothing else.
func TestSignaturesAreThoseOfTheStandard(t *testing.T) {
	k := masterKey(t)
	url, came := signedReceiver(t, answerOK)
	d := webhook(k, url, delivery.SignatureV1, 3)
	d.Target.Webhook.Keys[1].Until = time.Now().Add(time.Hour)
	d.Target.Webhook.Keys[2].Until = time.Now().Add(-time.Hour)
	e := event(7, `{"n":1}`)
	if err := deliver(t, signedTarget(t, d, k), e); err != nil {
		t.Fatal(err)
	}
	secrets, err := k.Secrets(d)
	if err != nil || len(secrets) != 3 {
		t.Fatal(secrets, err)
	}
	got := (*came)[0]
	if strings.Contains(string(got.body), "metadata") || !strings.Contains(string(got.body), `"data":{"n":1}`) {
		t.Errorf("the body is %s", got.body)
	}
	if got.header.Get("webhook-id") != e.MessageID.String() || got.header.Get("X-Event-ID") != e.MessageID.String() || got.header.Get("X-Delivery-Attempt") != "1" {
		t.Errorf("the headers are %v", got.header)
	}
	for i, s := range secrets {
		public, err := standardwebhooks.NewWebhook(s.Secret)
		if err != nil {
			t.Fatal(err)
		}
		ours, err := verify.New(s.Secret)
		if err != nil {
			t.Fatal(err)
		}
		inForce := i < 2
		if err := public.Verify(got.body, got.header); (err == nil) != inForce {
			t.Errorf("key %d, by the public library: %v", i, err)
		}
		if err := ours.Verify(got.header, got.body); (err == nil) != inForce {
			t.Errorf("key %d: %v", i, err)
		}
		if !inForce {
			continue
		}
		// What they sign is taken here, too.
		at := time.Now()
		signature, err := public.Sign("msg_1", at, []byte("{}"))
		if err != nil {
			t.Fatal(err)
		}
		h := http.Header{"Webhook-Id": {"msg_1"}, "Webhook-Timestamp": {strconv.FormatInt(at.Unix(), 10)}, "Webhook-Signature": {signature}}
		if err := ours.Verify(h, []byte("{}")); err != nil {
			t.Errorf("what the public library signs: %v", err)
		}
	}
}

// TestWhatWasChangedIsNotVerified: a signature is of the message id, the time and the body, by v1 and by v1a.
func TestWhatWasChangedIsNotVerified(t *testing.T) {
	k := masterKey(t)
	url, came := signedReceiver(t, answerOK)
	for i, scheme := range []delivery.Signature{delivery.SignatureV1, delivery.SignatureV1a} {
		d := webhook(k, url, scheme, 1)
		if err := deliver(t, signedTarget(t, d, k), event(7, `{"n":1}`)); err != nil {
			t.Fatal(err)
		}
		secrets, err := k.Secrets(d)
		if err != nil {
			t.Fatal(err)
		}
		v, err := verify.New(secrets[0].Secret + secrets[0].PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		got := (*came)[i]
		if (secrets[0].PublicKey != "") != (scheme == delivery.SignatureV1a) || !strings.HasPrefix(got.header.Get("webhook-signature"), string(scheme)+",") {
			t.Errorf("%s: %+v, %v", scheme, secrets[0], got.header)
		}
		sent := got.header.Get("webhook-timestamp")
		for what, c := range map[string]struct {
			name, value string
			body        string
			want        error
		}{
			"as it came":                 {"X-Other", "1", "", nil},
			"another body":               {"X-Other", "1", "{}", verify.ErrSignature},
			"another id":                 {"Webhook-Id", "another", "", verify.ErrSignature},
			"an id with a dot":           {"Webhook-Id", "a.b", "", verify.ErrHeaders},
			"another time":               {"Webhook-Timestamp", added(sent, 1), "", verify.ErrSignature},
			"another signature":          {"Webhook-Signature", "v1,AAAA v1a,AAAA", "", verify.ErrSignature},
			"another scheme":             {"Webhook-Signature", "v2" + strings.TrimPrefix(got.header.Get("webhook-signature"), string(scheme)), "", verify.ErrSignature},
			"among others":               {"Webhook-Signature", "v1,AAAA v3 " + got.header.Get("webhook-signature"), "", nil},
			"no signature":               {"Webhook-Signature", "", "", verify.ErrSignature},
			"a time that is none":        {"Webhook-Timestamp", "now", "", verify.ErrHeaders},
			"a time that is none at all": {"Webhook-Timestamp", "99999999999999999999", "", verify.ErrHeaders},
		} {
			h, body := got.header.Clone(), got.body
			h.Set(c.name, c.value)
			if c.body != "" {
				body = []byte(c.body)
			}
			if err := v.Verify(h, body); !errors.Is(err, c.want) {
				breaks(t, "a signature is of the id, the time and the body")
				t.Errorf("%s, %s: %v, want %v", scheme, what, err, c.want)
			}
		}
		for _, name := range []string{"Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"} {
			h := got.header.Clone()
			if h.Del(name); !errors.Is(v.Verify(h, got.body), verify.ErrHeaders) {
				t.Errorf("%s: it is taken without %s", scheme, name)
			}
			h[name] = []string{"a", "b"}
			if !errors.Is(v.Verify(h, got.body), verify.ErrHeaders) {
				t.Errorf("%s: it is taken with %s twice", scheme, name)
			}
		}
		// Five minutes are the most that it may be from the clock.
		for seconds, want := range map[int64]error{-301: verify.ErrTime, -300: nil, 300: nil, 301: verify.ErrTime} {
			at, _ := strconv.ParseInt(sent, 10, 64)
			v.Now = func() time.Time { return time.Unix(at+seconds, 0) }
			if err := v.Verify(got.header, got.body); !errors.Is(err, want) {
				t.Errorf("%s, at %+d s: %v, want %v", scheme, seconds, err, want)
			}
		}
	}
}

func added(text string, n int64) string {
	v, _ := strconv.ParseInt(text, 10, 64)
	return strconv.FormatInt(v+n, 10)
}

// TestOwnSecretsAreOfALength that the specification allows.
func TestOwnSecretsAreOfALength(t *testing.T) {
	for n, good := range map[int]bool{23: false, 24: true, 64: true, 65: false} {
		_, err := parseSecrets("whsec_" + base64.StdEncoding.EncodeToString(make([]byte, n)))
		if (err == nil) != good {
			t.Errorf("a secret of %d bytes: %v", n, err)
		}
	}
}

// TestEachAttemptIsSignedAnew with its own time, and with all secrets of who brings them: receivers refuse what is old.
func TestEachAttemptIsSignedAnew(t *testing.T) {
	seed := strings.Repeat("s", ed25519.SeedSize)
	public := ed25519.NewKeyFromSeed([]byte(seed)).Public().(ed25519.PublicKey)
	shared := "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 24)))
	dir := t.TempDir()
	t.Setenv("RECOUNT_SECRETS_DIR", dir)
	file := filepath.Join(dir, "secrets")
	if err := os.WriteFile(file, []byte(shared+" whsk_"+base64.StdEncoding.EncodeToString([]byte(seed))+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	url, came := signedReceiver(t, func(w http.ResponseWriter, r *http.Request) {
		// What comes back has the secret in it.
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, "refused "+shared)
	})
	d := delivery.Definition{Name: "webhook.own", Target: delivery.TargetConfig{Webhook: &delivery.WebhookTarget{
		HTTPTarget: delivery.HTTPTarget{URL: url, Headers: map[string]delivery.Secret{"X-Api-Key": {File: file}, "X-Tenant": {Value: "acme"}}},
		Secret:     &delivery.Secret{File: file}}}}
	// It is no matter of the key of the service.
	target, err := New(d, loopback)
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	at := &delivery.Delivery{Subscription: d.Name, Events: []delivery.Event{event(7, "1")}}
	err = target.Deliver(t.Context(), at)
	var answered *delivery.ResponseError
	if !errors.As(err, &answered) || strings.Contains(answered.Answer, shared) {
		t.Errorf("it was answered %v, %+v", err, answered)
	}
	for _, secret := range []string{shared, "whpk_" + base64.StdEncoding.EncodeToString(public)} {
		v, err := verify.New(secret)
		if err != nil {
			t.Fatal(err)
		}
		if err := v.Verify((*came)[0].header, (*came)[0].body); err != nil {
			t.Errorf("by %s: %v", secret[:5], err)
		}
	}
	// What is kept of the request has no secret.
	var sent map[string]string
	if err := json.Unmarshal([]byte(at.Exchange.Sent), &sent); err != nil || strings.Contains(at.Exchange.Sent, shared) || sent["X-Api-Key"] != "(file "+file+")" ||
		sent["X-Tenant"] != "acme" || sent["Webhook-Signature"] != (*came)[0].header.Get("webhook-signature") {
		t.Errorf("kept is %s, %v", at.Exchange.Sent, err)
	}
}

// TestAnswersOfWebhooks: a receiver says by its status whether it takes an event. The body is only kept, up to 2 KiB.
func TestAnswersOfWebhooks(t *testing.T) {
	k := masterKey(t)
	for _, c := range []struct {
		status int
		body   string
		want   delivery.Outcome
		kept   int
	}{
		{200, `{"failed":"everything"}`, delivery.Done, 23},
		{204, "", delivery.Done, 0},
		{202, strings.Repeat("x", 100_000), delivery.Done, 2048},
		{410, "gone", delivery.GoneOutcome, 0},
		{307, "", delivery.PermanentFailure, 0},
		{429, "", delivery.ThrottledOutcome, 0},
		{503, "", delivery.Transient, 0},
	} {
		url, came := signedReceiver(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body)
		})
		at := &delivery.Delivery{Events: []delivery.Event{event(7, "1")}}
		outcome, _ := delivery.OutcomeOf(signedTarget(t, webhook(k, url, "", 1), k).Deliver(t.Context(), at))
		if outcome != c.want || len(at.Exchange.Answer) != c.kept || len(*came) != 1 {
			t.Errorf("%d means %s, want %s; of the body %d bytes are kept, want %d; %d requests came", c.status, outcome, c.want, len(at.Exchange.Answer), c.kept, len(*came))
		}
	}
}

// TestAKeyIsOfOneWebhook: a definition that names the key of another, or one of another service, signs nothing.
func TestAKeyIsOfOneWebhook(t *testing.T) {
	k := masterKey(t)
	other, err := NewMasterKey(strings.Repeat("x", 32))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewMasterKey("short"); err == nil {
		t.Error("a short key is taken")
	}
	url, came := signedReceiver(t, answerOK)
	d := webhook(k, url, "", 1)
	stolen := d
	stolen.Name = "webhook.other"
	for what, c := range map[string]struct {
		d    delivery.Definition
		k    *MasterKey
		want string
	}{
		"another service": {d, other, "was made for another subscription"},
		"another webhook": {stolen, k, "was made for another subscription"},
		"no key":          {d, nil, "no key to derive"},
	} {
		err := deliver(t, signedTarget(t, c.d, c.k), event(7, "1"))
		if outcome, _ := delivery.OutcomeOf(err); err == nil || !strings.Contains(err.Error(), c.want) || outcome != delivery.Transient {
			breaks(t, "a key signs for its webhook only")
			t.Errorf("%s: %v, %s", what, err, outcome)
		}
		if _, err := c.k.Secrets(c.d); err == nil {
			t.Errorf("%s: the secret is told", what)
		}
	}
	if len(*came) != 0 {
		t.Errorf("%d requests came", len(*came))
	}
}
