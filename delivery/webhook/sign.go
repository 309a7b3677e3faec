package webhook

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/webhook/verify"
)

const (
	secretPrefix  = "whsec_"
	privatePrefix = "whsk_"
	publicPrefix  = "whpk_"
)

// signer signs the requests of a webhook.
type signer struct {
	subscription string
	config       *delivery.WebhookTarget
	master       *MasterKey

	mu sync.Mutex
	// derived are those of config.Keys that were used.
	derived map[string]signingKey
}

// signingKey signs: one member is set.
type signingKey struct {
	secret  []byte
	private ed25519.PrivateKey
}

func (k signingKey) sign(content []byte) string {
	if k.private != nil {
		return "v1a," + base64.StdEncoding.EncodeToString(ed25519.Sign(k.private, content))
	}
	return "v1," + base64.StdEncoding.EncodeToString(verify.HMAC(k.secret, content))
}

// sign sets the headers of a signed request. Own are the secrets of config.Secret, if it is set.
func (s *signer) sign(h http.Header, id string, body []byte, own string, now time.Time) error {
	keys, err := s.keys(own, now)
	if err != nil {
		return fmt.Errorf("sign: %w", err)
	}
	timestamp := strconv.FormatInt(now.Unix(), 10)
	content := verify.Content(id, timestamp, body)
	signatures := make([]string, len(keys))
	for i, key := range keys {
		signatures[i] = key.sign(content)
	}
	h["Webhook-Id"], h["Webhook-Timestamp"], h["Webhook-Signature"] = []string{id}, []string{timestamp}, []string{strings.Join(signatures, " ")}
	return nil
}

// keys returns those to sign with now.
func (s *signer) keys(own string, now time.Time) ([]signingKey, error) {
	if s.config.Secret != nil {
		return parseSecrets(own)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []signingKey
	for _, named := range s.config.Keys {
		if !named.Until.IsZero() && !now.Before(named.Until) {
			continue
		}
		key, there := s.derived[named.ID]
		if !there {
			var err error
			if key, err = s.master.signingKey(s.subscription, named.ID, s.config.Signature); err != nil {
				return nil, err
			}
			s.derived[named.ID] = key
		}
		all = append(all, key)
	}
	if len(all) == 0 {
		return nil, errors.New("no key of the webhook is in force: rotate it")
	}
	return all, nil
}

// parseSecrets reads the secrets of one who brings their own. Errors do not have them.
func parseSecrets(text string) (all []signingKey, err error) {
	for i, one := range strings.Fields(text) {
		secret, isSecret := strings.CutPrefix(one, secretPrefix)
		private, isPrivate := strings.CutPrefix(one, privatePrefix)
		switch {
		case isSecret:
			key, err := base64.StdEncoding.DecodeString(secret)
			if err != nil || len(key) < 24 || len(key) > 64 {
				return nil, fmt.Errorf(`secret %d is not %q and 24 to 64 bytes in base64`, i+1, secretPrefix)
			}
			all = append(all, signingKey{secret: key})
		case isPrivate:
			key, err := base64.StdEncoding.DecodeString(private)
			if err != nil || len(key) != ed25519.SeedSize && len(key) != ed25519.PrivateKeySize {
				return nil, fmt.Errorf(`secret %d is not %q and a private key of ed25519 in base64`, i+1, privatePrefix)
			}
			all = append(all, signingKey{private: ed25519.NewKeyFromSeed(key[:ed25519.SeedSize])})
		default:
			return nil, fmt.Errorf("secret %d begins neither with %q nor with %q", i+1, secretPrefix, privatePrefix)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("there is no secret")
	}
	return all, nil
}

// sentHeaders returns the headers of a request as they are kept: those with secrets have only where they are found.
func (t *Target) sentHeaders(h http.Header) string {
	names := slices.AppendSeq(make([]string, 0, 24), maps.Keys(h))
	slices.Sort(names)
	text := make([]byte, 0, 1024)
	for i, name := range names {
		value := h[name][0] // each is set once
		for _, own := range t.headers {
			if own.name == name && (own.value.IsReference() || own.user != "") {
				value = "(" + own.value.String() + ")"
			}
		}
		text = append(text, "{,"[min(i, 1)])
		// Their errors are about bytes that are not UTF-8, in whose place U+FFFD is written.
		text, _ = jsontext.AppendQuote(text, name)
		text, _ = jsontext.AppendQuote(append(text, ':'), value)
	}
	return string(append(text, '}'))
}
