// Package verify is for those who receive webhooks: it says whether a request comes from who knows the secret, as
// Standard Webhooks 1.0.0 has it, in its schemes v1 and v1a. It needs the standard library only, and may be copied.
//
//	v, err := verify.New(os.Getenv("WEBHOOK_SECRET"))
//	…
//	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
//	if err == nil {
//		err = v.Verify(r.Header, body) // the body as it came, before it is parsed
//	}
package verify

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Tolerance is how old a request may be, and how far ahead of the clock here.
const Tolerance = 5 * time.Minute

var (
	// ErrHeaders: the request has not each of webhook-id, webhook-timestamp and webhook-signature once, or not as they are.
	ErrHeaders = errors.New("webhook: the headers webhook-id, webhook-timestamp and webhook-signature are missing or wrong")
	// ErrTime: it was sent too long ago: somebody may send again what they have seen. Or a clock is wrong.
	ErrTime = errors.New("webhook: webhook-timestamp is more than five minutes from now")
	// ErrSignature: it was changed, or signed with another secret.
	ErrSignature = errors.New("webhook: no signature is of the secret")
)

// Verifier verifies requests. It may be used from several goroutines at once.
type Verifier struct {
	// Now is the clock. Default: time.Now.
	Now func() time.Time

	secrets [][]byte
	public  []ed25519.PublicKey
}

// New returns a verifier of what is signed with one of the secrets, each "whsec_…" (v1) or the public key "whpk_…" (v1a).
// During a rotation there are two.
func New(secrets ...string) (*Verifier, error) {
	v := &Verifier{Now: time.Now}
	for i, text := range secrets {
		kind, coded, _ := strings.Cut(strings.TrimSpace(text), "_")
		key, err := base64.StdEncoding.DecodeString(coded)
		switch {
		case kind == "whsec" && err == nil && len(key) >= 16:
			v.secrets = append(v.secrets, key)
		case kind == "whpk" && err == nil && len(key) == ed25519.PublicKeySize:
			v.public = append(v.public, key)
		default:
			return nil, fmt.Errorf(`webhook: secret %d must be "whsec_" or "whpk_" and a key in base64`, i+1)
		}
	}
	if len(secrets) == 0 {
		return nil, errors.New("webhook: there is no secret")
	}
	return v, nil
}

// Verify returns nil if the request was signed with one of the secrets, not more than Tolerance ago. Whoever has seen it may
// have sent it again since: keep the webhook-ids of what was done.
func (v *Verifier) Verify(h http.Header, body []byte) error {
	id, timestamp, signatures := h.Values("Webhook-Id"), h.Values("Webhook-Timestamp"), h.Values("Webhook-Signature")
	if len(id) != 1 || len(timestamp) != 1 || len(signatures) != 1 || id[0] == "" || strings.Contains(id[0], ".") {
		return ErrHeaders
	}
	seconds, err := strconv.ParseInt(timestamp[0], 10, 64)
	if err != nil {
		return ErrHeaders
	}
	if age := v.Now().Unix() - seconds; age > int64(Tolerance/time.Second) || age < -int64(Tolerance/time.Second) {
		return ErrTime
	}
	content := Content(id[0], timestamp[0], body)
	for _, signature := range strings.Fields(signatures[0]) {
		scheme, coded, _ := strings.Cut(signature, ",")
		if given, err := base64.StdEncoding.DecodeString(coded); err == nil && v.matches(scheme, given, content) {
			return nil
		}
	}
	return ErrSignature
}

func (v *Verifier) matches(scheme string, given, content []byte) bool {
	switch scheme {
	case "v1":
		for _, secret := range v.secrets {
			if hmac.Equal(given, HMAC(secret, content)) {
				return true
			}
		}
	case "v1a":
		for _, key := range v.public {
			if ed25519.Verify(key, content, given) {
				return true
			}
		}
	}
	return false
}

// Content is what is signed.
func Content(id, timestamp string, body []byte) []byte {
	return append([]byte(id+"."+timestamp+"."), body...)
}

// HMAC is the signature of v1.
func HMAC(secret, content []byte) []byte {
	m := hmac.New(sha256.New, secret)
	m.Write(content)
	return m.Sum(nil)
}
