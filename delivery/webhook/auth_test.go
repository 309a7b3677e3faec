package webhook

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/57528e99/recount/delivery"
)

const theSecret = "s3cret-value&/+"

// theToken is longer than what is cut off an answer.
var theToken = "t0ken-value-" + strings.Repeat("z", 300)

// tokenServer gives out tokens: what it is to answer is a format of how many it gave out.
func tokenServer(t *testing.T, answer string) (address string, given *atomic.Int64) {
	given = new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, secret, _ := r.BasicAuth()
		if err := r.ParseForm(); err != nil || r.Form.Get("grant_type") != "client_credentials" || r.Form.Get("scope") != "a b" ||
			id != "the+client%3A" || secret != "s3cret-value%26%2F%2B" || r.Method != http.MethodPost {
			t.Errorf("the token endpoint was asked %v by %s", r.Form, id)
		}
		if n := given.Add(1); strings.Contains(answer, "%d") {
			_, _ = fmt.Fprintf(w, answer, n)
			return
		}
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	return server.URL, given
}

func oauth(address string) *delivery.HTTPAuth {
	return &delivery.HTTPAuth{OAuth: &delivery.OAuthAuth{
		TokenURL: address, ClientID: "the client:", ClientSecret: delivery.Secret{Env: "RECOUNT_SECRET_TARGET"}, Scopes: []string{"a", "b"},
	}}
}

func TestAuthentication(t *testing.T) {
	t.Setenv("RECOUNT_SECRET_TARGET", theSecret)
	address, _ := tokenServer(t, `{"access_token":"`+theToken+`%d","token_type":"Bearer","expires_in":"3600"}`)
	for name, c := range map[string]struct {
		delivery.HTTPTarget
		header, want string
	}{
		"header":  {delivery.HTTPTarget{Headers: map[string]delivery.Secret{"x-tenant": {Value: "acme"}}}, "X-Tenant", "acme"},
		"env":     {delivery.HTTPTarget{Headers: map[string]delivery.Secret{"x-token": {Env: "RECOUNT_SECRET_TARGET"}}}, "X-Token", theSecret},
		"api_key": {delivery.HTTPTarget{Auth: &delivery.HTTPAuth{APIKey: &delivery.APIKeyAuth{Value: delivery.Secret{Env: "RECOUNT_SECRET_TARGET"}}}}, "Authorization", theSecret},
		"basic": {delivery.HTTPTarget{Auth: &delivery.HTTPAuth{Basic: &delivery.BasicAuth{User: "ann", Password: delivery.Secret{Env: "RECOUNT_SECRET_TARGET"}}}}, "Authorization",
			"Basic " + base64.StdEncoding.EncodeToString([]byte("ann:"+theSecret))},
		"oauth": {delivery.HTTPTarget{Auth: oauth(address)}, "Authorization", "Bearer " + theToken + "1"},
	} {
		target := receiver(t, c.HTTPTarget, 1, func(_ http.ResponseWriter, r *http.Request) {
			if got := r.Header.Get(c.header); got != c.want {
				t.Errorf("%s: %s is %q, want %q", name, c.header, got, c.want)
			}
		})
		if err := deliver(t, target, event(7, "1")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSecretsAreInNoError: though receivers send back all that they were sent.
func TestSecretsAreInNoError(t *testing.T) {
	t.Setenv("RECOUNT_SECRET_TARGET", theSecret)
	good, _ := tokenServer(t, `{"access_token":"`+theToken+`%d"}`)
	bad, _ := tokenServer(t, `{"error":"`+theSecret+`","error_description":"`+theSecret+`"}`)
	coded := base64.StdEncoding.EncodeToString([]byte("ann:" + theSecret))
	env := delivery.Secret{Env: "RECOUNT_SECRET_TARGET"}
	sentIn := map[string]string{"header": "X-Token", "api_key": "X-Key", "basic": "Authorization", "oauth": "Authorization"}
	for name, c := range map[string]delivery.HTTPTarget{
		"header":  {Headers: map[string]delivery.Secret{"x-token": env}},
		"api_key": {Auth: &delivery.HTTPAuth{APIKey: &delivery.APIKeyAuth{Header: "x-key", Value: env}}},
		"basic":   {Auth: &delivery.HTTPAuth{Basic: &delivery.BasicAuth{User: "ann", Password: env}}},
		"oauth":   {Auth: oauth(good)},
		"refused": {Auth: oauth(bad)},
	} {
		for _, status := range []int{200, 302, 401, 429, 500} {
			target := receiver(t, c, 1, func(w http.ResponseWriter, r *http.Request) {
				sent := r.Header.Get(sentIn[name])
				all := fmt.Sprint(slices.Collect(maps.Values(r.Header)), sent)
				w.Header().Set("Location", "/"+sent)
				w.WriteHeader(status)
				if status == 200 {
					_, _ = fmt.Fprintf(w, `{"failed":[{"position":7,"error":%q}]}`, all)
					return
				}
				// One begins in what is kept, and ends behind it.
				body := []byte(strings.Repeat("x", keptAnswer+1000))
				copy(body, all)
				copy(body[3990:], sent[strings.LastIndex(sent, " ")+1:])
				_, _ = w.Write(body)
			})
			err := deliver(t, target, event(7, "1"))
			for _, text := range append(texts(err), fmt.Sprintf("%v %+v %#v", err, err, err)) {
				for _, secret := range []string{theSecret, theToken, coded} {
					if strings.Contains(text, secret[:5]) {
						t.Errorf("%s, %d: of the secret %s some is in\n%s", name, status, secret, text)
					}
				}
			}
		}
	}
	for _, target := range []*Target{
		newTarget(t, delivery.HTTPTarget{URL: "http://127.0.0.1:1", Headers: map[string]delivery.Secret{"x-token": env}}, 1, loopback),
		newTarget(t, delivery.HTTPTarget{URL: "http://127.0.0.1:1", Headers: map[string]delivery.Secret{"x-token": {Env: "RECOUNT_SECRET_TARGET_2"}}}, 1, loopback),
	} {
		t.Setenv("RECOUNT_SECRET_TARGET_2", theSecret+"\n")
		if err := deliver(t, target, event(7, "1")); err == nil || strings.Contains(fmt.Sprintf("%v %#v", err, err), "s3cret") {
			t.Errorf("Deliver: %v", err)
		}
	}
}

// texts returns what an error says, and what is kept of the answer.
func texts(err error) (all []string) {
	if err == nil {
		return nil
	}
	all = append(all, err.Error())
	if answered, ok := err.(*delivery.ResponseError); ok {
		all = append(all, answered.Answer, answered.Detail)
	}
	if partial, ok := err.(*delivery.PartialError); ok {
		for _, err := range partial.Failed {
			all = append(all, texts(err)...)
		}
	}
	if inner, ok := err.(interface{ Unwrap() error }); ok {
		all = append(all, texts(inner.Unwrap())...)
	}
	return all
}

// TestSecretFiles: they are read when they are used, and again when they may have changed.
func TestSecretFiles(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("RECOUNT_SECRETS_DIR", dir)
	file := filepath.Join(dir, "secret")
	valid := ""
	requests := 0
	target := receiver(t, delivery.HTTPTarget{Headers: map[string]delivery.Secret{"x-token": {File: file}}}, 1, func(w http.ResponseWriter, r *http.Request) {
		if requests++; r.Header.Get("X-Token") != valid {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	write := func(value string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	check := func(what string, wantRequests int, wantErr string) {
		t.Helper()
		requests = 0
		err := deliver(t, target, event(7, "1"))
		if requests != wantRequests || (err == nil) != (wantErr == "") || err != nil && !strings.Contains(err.Error(), wantErr) {
			t.Errorf("%s: %d requests, %v; want %d, %q", what, requests, err, wantRequests, wantErr)
		}
		if outcome, _ := delivery.OutcomeOf(err); requests == 0 && outcome != delivery.Transient {
			t.Errorf("%s: %s; a secret that is missing is no fault of the event", what, outcome)
		}
	}
	check("no file", 0, "no such file")
	write("")
	check("an empty file", 0, "is empty")
	write(strings.Repeat("x", 64<<10+1))
	check("a big file", 0, "more than 64 KiB")
	write("one\ntwo\n")
	check("two lines", 0, "control characters")
	valid = "first"
	write("first\r\n")
	check("the first secret", 1, "")
	valid = "second"
	write("second")
	check("another", 1, "")
	valid = "third"
	check("one that is not there yet", 1, "401")
	// As a volume of secrets is changed: by links in it.
	if err := os.WriteFile(file+".new", []byte("third"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(file), os.Symlink("secret.new", file)); err != nil {
		t.Fatal(err)
	}
	check("a link", 1, "")
	for _, elsewhere := range []string{"/etc/hostname", "../../../etc/hostname"} {
		if err := errors.Join(os.Remove(file), os.Symlink(elsewhere, file)); err != nil {
			t.Fatal(err)
		}
		check("a link that leads elsewhere", 0, "escapes")
	}
	if _, err := (delivery.Secret{File: "/etc/hostname"}).Read(); err == nil || !strings.Contains(err.Error(), "is not in "+dir) {
		t.Errorf("a file elsewhere: %v", err)
	}
}

// TestTokens: one is used as long as it lasts, got anew once if it is refused, and by one caller for all.
func TestTokens(t *testing.T) {
	t.Setenv("RECOUNT_SECRET_TARGET", theSecret)
	for _, c := range []struct {
		name, answer string
		valid        string // the first token that the receiver takes; empty: any
		deliveries   int
		tokens       int64
		requests     int
		ok           bool
	}{
		{"lasts", `{"access_token":"t%d","expires_in":3600}`, "", 5, 1, 5, true},
		{"lasts for ever", `{"access_token":"t%d","token_type":"bearer"}`, "", 5, 1, 5, true},
		{"has expired when it is used again", `{"access_token":"t%d","expires_in":0.000001}`, "", 5, 5, 5, true},
		{"is refused once", `{"access_token":"t%d","expires_in":3600}`, "t2", 3, 2, 4, true},
		{"is refused always", `{"access_token":"t%d","expires_in":3600}`, "none", 3, 3, 5, false},
	} {
		address, given := tokenServer(t, c.answer)
		requests := 0
		target := receiver(t, delivery.HTTPTarget{Auth: oauth(address)}, 1, func(w http.ResponseWriter, r *http.Request) {
			if requests++; c.valid != "" && r.Header.Get("Authorization") < "Bearer "+c.valid && c.valid != "none" || c.valid == "none" {
				w.WriteHeader(http.StatusUnauthorized)
			}
		})
		for i := range c.deliveries {
			// A token that was got for the request is not refused by another.
			if err := deliver(t, target, event(7, "1")); (err == nil) != c.ok && !(c.valid == "t2" && i == 0) {
				t.Errorf("a token that %s: %v", c.name, err)
			}
		}
		t.Logf("a token that %s: %d tokens, %d requests", c.name, given.Load(), requests)
		if given.Load() != c.tokens || requests != c.requests {
			t.Errorf("a token that %s: %d tokens, %d requests; want %d, %d", c.name, given.Load(), requests, c.tokens, c.requests)
		}
	}
}

func TestOneCallerGetsTheTokenForAll(t *testing.T) {
	t.Setenv("RECOUNT_SECRET_TARGET", theSecret)
	address, given := tokenServer(t, `{"access_token":"t%d"}`)
	target := receiver(t, delivery.HTTPTarget{Auth: oauth(address)}, 1, func(http.ResponseWriter, *http.Request) {})
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			if err := deliver(t, target, event(7, "1")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if given.Load() != 1 {
		t.Errorf("%d tokens were got", given.Load())
	}
}

// TestTokenEndpointHangs: whoever waits for a token goes when its context ends, also behind another.
func TestTokenEndpointHangs(t *testing.T) {
	t.Setenv("RECOUNT_SECRET_TARGET", theSecret)
	asked := make(chan struct{}, 2)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		asked <- struct{}{}
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	target := receiver(t, delivery.HTTPTarget{Auth: oauth(server.URL)}, 1, func(http.ResponseWriter, *http.Request) { t.Error("a request came without a token") })
	leader, stopLeader := context.WithCancel(t.Context())
	defer stopLeader()
	follower, stopFollower := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stopFollower()
	ended := make(chan string, 2)
	begin := func(ctx context.Context, who string) {
		err := target.Deliver(ctx, &delivery.Delivery{Subscription: "big-orders", Events: []delivery.Event{event(7, "1")}})
		ended <- fmt.Sprint(who, " ends with ", err)
	}
	go begin(leader, "the one who asked")
	<-asked
	go begin(follower, "the one behind")
	for _, want := range []string{"the one behind ends with context deadline exceeded", "the one who asked ends with context canceled"} {
		if got := <-ended; got != want {
			t.Errorf("%s, want: %s", got, want)
		}
		stopLeader()
	}
}

func TestTokenEndpointAnswers(t *testing.T) {
	t.Setenv("RECOUNT_SECRET_TARGET", theSecret)
	for answer, want := range map[string]string{
		`{"error":"invalid_client"}`:                "401 Unauthorized: invalid_client",
		`{"error":"` + theSecret + `"}`:             "the token endpoint answers 401 Unauthorized",
		`nothing %d`:                                "no JSON object",
		`{"n":%d}`:                                  "no access_token",
		`{"access_token":"a\nb","n":%d}`:            "no access_token that can be sent",
		`{"access_token":"a","token_type":"mac%d"}`: "no bearer token",
	} {
		address, _ := tokenServer(t, answer)
		target := receiver(t, delivery.HTTPTarget{Auth: oauth(address)}, 1, func(http.ResponseWriter, *http.Request) {})
		err := deliver(t, target, event(7, "1"))
		if outcome, _ := delivery.OutcomeOf(err); err == nil || !strings.Contains(err.Error(), want) || outcome != delivery.Transient {
			t.Errorf("%s: %v, want %q", answer, err, want)
		}
	}
}
