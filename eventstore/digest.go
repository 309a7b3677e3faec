package eventstore

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"

	"github.com/google/uuid"
)

// Digest says which events were counted: the sum modulo 2^128 of the first 16 bytes of SHA-256 of
// each event's position (8 bytes, big-endian) and id. Being a sum it does not depend on the order,
// so parts that were counted in parallel add up.
type Digest struct{ high, low uint64 }

// Add returns the digest with one event more.
func (d Digest) Add(position int64, id uuid.UUID) Digest {
	var b [24]byte
	binary.BigEndian.PutUint64(b[:], uint64(position))
	copy(b[8:], id[:])
	sum := sha256.Sum256(b[:])
	return d.Plus(Digest{high: binary.BigEndian.Uint64(sum[:]), low: binary.BigEndian.Uint64(sum[8:])})
}

// Plus returns the digest of the events of both.
func (d Digest) Plus(other Digest) Digest {
	low, carry := bits.Add64(d.low, other.low, 0)
	high, _ := bits.Add64(d.high, other.high, carry)
	return Digest{high: high, low: low}
}

// Bytes returns the digest as 16 bytes, big-endian.
func (d Digest) Bytes() []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 16), d.high)
	return binary.BigEndian.AppendUint64(b, d.low)
}

// String returns the digest in hexadecimal.
func (d Digest) String() string { return hex.EncodeToString(d.Bytes()) }

// MarshalText returns the digest in hexadecimal.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what MarshalText returns.
func (d *Digest) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err != nil {
		return fmt.Errorf("a digest is in hexadecimal: %w", err)
	}
	return d.ScanBytes(b)
}

// ScanBytes reads what Bytes returns, also from a column of type bytea.
func (d *Digest) ScanBytes(b []byte) error {
	if len(b) != 16 {
		return fmt.Errorf("a digest has 16 bytes, this has %d", len(b))
	}
	*d = Digest{high: binary.BigEndian.Uint64(b), low: binary.BigEndian.Uint64(b[8:])}
	return nil
}
