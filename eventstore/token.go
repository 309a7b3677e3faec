package eventstore

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"

	"github.com/google/uuid"
)

// Token is a place in a log: a reader that has come as far as the token sees
// every append up to it. The zero Token is before everything and demands
// nothing.
type Token struct {
	// Log identifies the log.
	Log uuid.UUID
	// Incarnation is a number from 1. It changes when the log was restored
	// or failed over to a copy that may lack events.
	Incarnation int64
	// Position is a position in that incarnation of the log; 0 is before its first
	// event.
	Position int64
}

// IsZero reports whether the token demands nothing.
func (t Token) IsZero() bool { return t == Token{} }

// SameIncarnation reports whether both are places in one incarnation of one log, so that their
// positions can be compared.
func (t Token) SameIncarnation(other Token) bool {
	return t.Log == other.Log && t.Incarnation == other.Incarnation
}

// Before reports whether t is before another place in the same incarnation of the same log.
func (t Token) Before(other Token) bool {
	return t.SameIncarnation(other) && t.Position < other.Position
}

const tokenVersion = 1

// String returns the token as text that ParseToken reads: URL-safe, opaque to
// clients. The zero Token is the empty string.
func (t Token) String() string {
	if t.IsZero() {
		return ""
	}
	b := make([]byte, 0, 32)
	b = append(b, tokenVersion)
	b = append(b, t.Log[:]...)
	b = binary.AppendUvarint(b, uint64(t.Incarnation))
	b = binary.AppendUvarint(b, uint64(t.Position))
	return base64.RawURLEncoding.EncodeToString(b)
}

// ParseToken reads the text of a token. The empty string is the zero Token;
// anything that String did not make is ErrInvalidToken.
func ParseToken(s string) (Token, error) {
	if s == "" {
		return Token{}, nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) < 19 || b[0] != tokenVersion {
		return Token{}, fmt.Errorf("token %.40q: %w", s, ErrInvalidToken)
	}
	t := Token{Log: uuid.UUID(b[1:17])}
	incarnation, n := binary.Uvarint(b[17:])
	position, m := binary.Uvarint(b[17+max(n, 0):])
	t.Incarnation, t.Position = int64(incarnation), int64(position)
	// Encoding it again settles truncation, overflow and padding at once.
	if n <= 0 || m <= 0 || t.Incarnation < 0 || t.Position < 0 || t.String() != s {
		return Token{}, fmt.Errorf("token %.40q: %w", s, ErrInvalidToken)
	}
	return t, nil
}
