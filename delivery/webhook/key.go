package webhook

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/eventstore"
)

// MasterKey is what the secrets of webhooks are derived from, so that none is kept. All processes of a service have the
// same, and whoever has it can sign for all of them.
type MasterKey struct{ secret []byte }

// minMasterKey is how many bytes a MasterKey has at least.
const minMasterKey = 32

// ErrNoMasterKey is returned where a secret is to be derived and there is no MasterKey.
var ErrNoMasterKey = eventstore.NewError(eventstore.ClassUnavailable, "this process has no key to derive the secrets of webhooks from")

// NewMasterKey returns the key that a secret text is, of at least 32 bytes, all of them random: what `openssl rand -base64 32`
// writes, say.
func NewMasterKey(text string) (*MasterKey, error) {
	if len(text) < minMasterKey {
		return nil, fmt.Errorf("the key of webhooks has %d bytes, it must have at least %d", len(text), minMasterKey)
	}
	return &MasterKey{[]byte(text)}, nil
}

// tagSize is how many bytes of the id of a key say whose it is.
const tagSize = 6

// NewKeyID returns the id of a new key of a subscription. It says nothing of the secret.
func (k *MasterKey) NewKeyID(subscription string) string {
	id := make([]byte, 12, 12+tagSize)
	_, _ = rand.Read(id) // it never fails
	return base64.RawURLEncoding.EncodeToString(append(id, k.tag(subscription, id)...))
}

// tag is what the end of an id must be: an id that was made for another subscription, or with another key, derives nothing.
func (k *MasterKey) tag(subscription string, id []byte) []byte {
	return k.derive("id", subscription, id)[:tagSize]
}

func (k *MasterKey) derive(purpose, subscription string, id []byte) []byte {
	// The name of a subscription has no NUL. The errors are about sizes that are not these.
	derived, _ := hkdf.Key(sha256.New, k.secret, nil, "recount webhook "+purpose+"\x00"+subscription+"\x00"+string(id), sha256.Size)
	return derived
}

// signingKey returns the key that an id stands for.
func (k *MasterKey) signingKey(subscription string, id string, scheme delivery.Signature) (signingKey, error) {
	if k == nil {
		return signingKey{}, ErrNoMasterKey
	}
	raw, err := base64.RawURLEncoding.DecodeString(id)
	if err != nil || len(raw) <= tagSize {
		return signingKey{}, fmt.Errorf("%q is the id of no key", id)
	}
	raw, tag := raw[:len(raw)-tagSize], raw[len(raw)-tagSize:]
	if subtle.ConstantTimeCompare(tag, k.tag(subscription, raw)) != 1 {
		return signingKey{}, fmt.Errorf("the key %s was made for another subscription than %q, or with another key of the service than this process has", id, subscription)
	}
	derived := k.derive(string(scheme), subscription, raw)
	if scheme == delivery.SignatureV1a {
		return signingKey{private: ed25519.NewKeyFromSeed(derived)}, nil
	}
	return signingKey{secret: derived}, nil
}

// Secret is what the receivers of a webhook get to know of one of its keys.
type Secret struct {
	delivery.SigningKey
	// Secret is that of v1, "whsec_…", PublicKey that of v1a, "whpk_…".
	Secret    string `json:"signing_secret,omitempty"`
	PublicKey string `json:"public_key,omitempty"`
}

// Secrets returns those of the keys of a webhook, in their order.
//
// Errors: ErrNoMasterKey; one about a key that was made with another MasterKey, or for another subscription.
func (k *MasterKey) Secrets(d delivery.Definition) ([]Secret, error) {
	c := d.Target.Webhook
	if c == nil || c.Secret != nil {
		return nil, errors.New("the webhook has a secret of its own")
	}
	var all []Secret
	for _, named := range c.Keys {
		key, err := k.signingKey(d.Name, named.ID, c.Signature)
		if err != nil {
			return nil, err
		}
		s := Secret{SigningKey: named}
		if key.private != nil {
			s.PublicKey = publicPrefix + base64.StdEncoding.EncodeToString(key.private.Public().(ed25519.PublicKey))
		} else {
			s.Secret = secretPrefix + base64.StdEncoding.EncodeToString(key.secret)
		}
		all = append(all, s)
	}
	return all, nil
}
