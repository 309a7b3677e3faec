package eventstore_test

import (
	"math/big"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/57528e99/recount/eventstore"
)

// TestDigestIsTheSumItSays compares with big integers, and in another order.
func TestDigestIsTheSumItSays(t *testing.T) {
	t.Parallel()
	modulus := new(big.Int).Lsh(big.NewInt(1), 128)
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.SliceOf(rapid.Uint64()).Draw(t, "ids")
		var forwards, backwards, again eventstore.Digest
		sum := new(big.Int)
		for i, n := range ids {
			id := uuid.NewSHA1(uuid.Nil, big.NewInt(0).SetUint64(n).Bytes())
			forwards = forwards.Add(int64(i+1), id)
			one := eventstore.Digest{}.Add(int64(i+1), id)
			backwards = one.Plus(backwards)
			sum.Add(sum, new(big.Int).SetBytes(one.Bytes()))
		}
		sum.Mod(sum, modulus)
		if forwards != backwards || new(big.Int).SetBytes(forwards.Bytes()).Cmp(sum) != 0 {
			t.Fatalf("forwards %s, backwards %s, by big integers %x", forwards, backwards, sum)
		}
		if err := again.ScanBytes(forwards.Bytes()); err != nil || again != forwards {
			t.Fatalf("ScanBytes(%s) = %s, %v", forwards, again, err)
		}
	})
}

// TestDigestOfAKnownEvent keeps the digest what it is: other programs can compute it.
func TestDigestOfAKnownEvent(t *testing.T) {
	t.Parallel()
	id := uuid.MustParse("01234567-89ab-cdef-0123-456789abcdef")
	// printf '000000000000002a0123456789abcdef0123456789abcdef' | xxd -r -p | sha256sum
	const want = "779caf25cb66328bf43639175bd08e9c"
	if got := (eventstore.Digest{}).Add(42, id).String(); got != want {
		t.Errorf("digest = %s, want %s", got, want)
	}
	if err := new(eventstore.Digest).ScanBytes([]byte{1}); err == nil {
		t.Error("a digest of one byte is no error")
	}
}
