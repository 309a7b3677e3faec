package httpapi

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/url"
	"strings"
	"sync"
)

const (
	maxKeyBytes = 255
	// maxScopeBytes bounds the scope of a receipt.
	maxScopeBytes = 255
)

// scopeOf returns the scope of a receipt. No two lists have the same.
func scopeOf(parts []string) string {
	escaped := make([]string, len(parts))
	for i, part := range parts {
		escaped[i] = url.QueryEscape(part)
	}
	scope := strings.Join(escaped, " ")
	if len(scope) <= maxScopeBytes {
		return scope
	}
	sum := sha256.Sum256([]byte(scope))
	end := "#" + hex.EncodeToString(sum[:])
	return scope[:maxScopeBytes-len(end)] + end
}

// parseIdempotencyKey reads the value of an Idempotency-Key header: a string in
// quotes as in RFC 9651, or the bare key, as many clients send it.
func parseIdempotencyKey(value string) (string, error) {
	key := value
	if strings.HasPrefix(value, `"`) {
		var err error
		if key, err = unquote(value); err != nil {
			return "", err
		}
	} else if strings.ContainsAny(value, " \",;") {
		return "", errors.New("must be in quotes if it has a space, a quote, a comma or a semicolon")
	}
	return key, checkKey(key)
}

func checkKey(key string) error {
	if key == "" || len(key) > maxKeyBytes || !isPrintableASCII(key) {
		return errors.New("must have 1 to 255 printable ASCII characters")
	}
	return nil
}

// unquote reads a string of RFC 9651: in quotes, with backslashes before quotes
// and backslashes.
func unquote(s string) (string, error) {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return "", errors.New("must begin and end with a quote")
	}
	var b strings.Builder
	inner := s[1 : len(s)-1]
	for i := 0; i < len(inner); i++ {
		switch inner[i] {
		case '"':
			return "", errors.New("must have a backslash before a quote inside of it")
		case '\\':
			i++
			if i == len(inner) || inner[i] != '"' && inner[i] != '\\' {
				return "", errors.New("must have a backslash only before a quote or a backslash")
			}
		}
		b.WriteByte(inner[i])
	}
	return b.String(), nil
}

// idempotencyKey returns the request's key, "" if it has none.
func (x *exchange) idempotencyKey() (string, error) {
	const name = "Idempotency-Key"
	values := x.r.Header.Values(name)
	if len(values) == 0 {
		return "", nil
	}
	detail := "must be given once"
	if len(values) == 1 {
		key, err := parseIdempotencyKey(values[0])
		if err == nil {
			return key, nil
		}
		detail = err.Error()
	}
	return "", kindInvalidIdempotencyKey.Problem("The header "+name+" "+detail+".").withHeader(name, detail)
}

// fingerprint tells requests under one key apart: by command, path variables and
// body in canonical form, so that white space and the order of members do not
// count. Each part ends with a zero byte, which none of them can hold.
func fingerprint(name string, vars []string, canonicalBody []byte) []byte {
	h := sha256.New()
	for _, part := range append([]string{name}, vars...) {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	h.Write(canonicalBody)
	return h.Sum(nil)
}

// inProgress are the keys being worked on in this process.
type inProgress struct {
	mu   sync.Mutex
	keys map[scopedKey]bool
}

type scopedKey struct{ scope, key string }

// begin reports whether nobody works on the key; then end must follow.
func (p *inProgress) begin(k scopedKey) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.keys[k] {
		return false
	}
	if p.keys == nil {
		p.keys = make(map[scopedKey]bool)
	}
	p.keys[k] = true
	return true
}

func (p *inProgress) end(k scopedKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.keys, k)
}
