package security

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"hash/crc32"
	"strings"
)

// A token is tokenPrefix, an id that may be shown, '_', a secret, and a checksum of all before it:
//
//	rct_7qk2m9xw4tbn_…
//
// It has small letters and digits only, so that a double click takes it whole, and a scanner of secrets finds it.
const (
	tokenPrefix   = "rct_"
	idBytes       = 10 // 16 characters
	secretBytes   = 35 // 56 characters
	checksumBytes = 5  // 8 characters; the first byte is 0
)

var tokenText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

var (
	idLength    = tokenText.EncodedLen(idBytes)
	tokenLength = len(tokenPrefix) + idLength + 1 + tokenText.EncodedLen(secretBytes) + tokenText.EncodedLen(checksumBytes)
)

// NewToken makes a token: its text, which only its owner keeps, and its id.
func NewToken() (text, id string) {
	b := make([]byte, idBytes+secretBytes)
	_, _ = rand.Read(b) // it never fails: see crypto/rand
	id = tokenText.EncodeToString(b[:idBytes])
	text = tokenPrefix + id + "_" + tokenText.EncodeToString(b[idBytes:])
	return text + checksumOf(text), id
}

// TokenID returns the id in a token; false for a text that is none, as far as its checksum says.
func TokenID(text string) (id string, ok bool) {
	if len(text) != tokenLength || !strings.HasPrefix(text, tokenPrefix) || text[len(tokenPrefix)+idLength] != '_' {
		return "", false
	}
	end := tokenLength - tokenText.EncodedLen(checksumBytes)
	return text[len(tokenPrefix):][:idLength], checksumOf(text[:end]) == text[end:]
}

func checksumOf(text string) string {
	var b [checksumBytes]byte
	binary.BigEndian.PutUint32(b[1:], crc32.ChecksumIEEE([]byte(text)))
	return tokenText.EncodeToString(b[:])
}

// TokenHash is what is kept of a token: nobody can make it of that.
func TokenHash(text string) [sha256.Size]byte { return sha256.Sum256([]byte(text)) }
