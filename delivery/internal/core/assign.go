package core

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
)

// MaxKey is how long a key may be, in bytes. A longer one is replaced by its hash, see KeyOf.
const MaxKey = 512

// KeyOf returns the key to use for a key of any length: itself, or "sha256:" and its SHA-256 in hexadecimal
// digits if it is longer than MaxKey.
func KeyOf(key string) string {
	if len(key) <= MaxKey {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// PartitionOf returns which of n partitions a key belongs to, from 0; n is a power of two. It is the low bits
// of the first eight bytes of the SHA-256 of KeyOf(key), big-endian: that is so for ever, since cursors
// stand on it. With twice as many partitions a key of partition i is in i or i + n.
func PartitionOf(key string, n int) int { return PlaceOf(key).Partition(n) }

// Place is the hash of a key that says which partition it belongs to, however many there are.
type Place uint64

// PlaceOf returns the place of a key.
func PlaceOf(key string) Place {
	sum := sha256.Sum256([]byte(KeyOf(key)))
	return Place(binary.BigEndian.Uint64(sum[:8]))
}

// Partition returns which of n partitions it is in, see PartitionOf.
func (p Place) Partition(n int) int { return int(uint64(p) & uint64(n-1)) }

// Member is a process that delivers.
type Member struct {
	// ID is never used again.
	ID int64
	// CanRun are what it has the handlers for, in any order.
	CanRun []string
	// Aside are subscriptions that it leaves to others, whatever it can run.
	Aside []int64
}

// Assign returns the member that is to own a partition, of those that can run what it needs, by rendezvous
// hashing: who joins or leaves moves only what it gets or had. If ok is false nobody can.
func Assign(members []Member, needs string, subscription int64, partition int) (id int64, ok bool) {
	place := mix(mix(uint64(subscription)) + uint64(partition))
	var best uint64
	for _, m := range members {
		weight := mix(place ^ mix(uint64(m.ID)))
		// Equal weights are decided by id, so that all processes decide alike whatever order they see.
		if ok && (weight < best || weight == best && m.ID > id) || !slices.Contains(m.CanRun, needs) ||
			slices.Contains(m.Aside, subscription) {
			continue
		}
		id, best, ok = m.ID, weight, true
	}
	return id, ok
}

// mix is the finalizer of SplitMix64: each bit of x changes half of the bits of the result.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
