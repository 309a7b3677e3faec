package pgproxy

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"runtime"
	"slices"
	"testing"
)

// wire returns a message as it is on the wire.
func wire(kind byte, body string) []byte {
	b := []byte{}
	if kind != 0 {
		b = append(b, kind)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(body)+4))
	return append(b, body...)
}

// FuzzMessages reads any bytes as what a client and a server say: none is lost or
// made up, and what has no end is no message.
func FuzzMessages(f *testing.F) {
	f.Add(append(wire(0, "\x00\x03\x00\x00user\x00x\x00\x00"), wire(typeQuery, "COMMIT\x00")...), true)
	f.Add(append(wire(typeParse, "s\x00 commit ;\x00\x00\x00"), wire(typeBind, "\x00s\x00")...), false)
	f.Add(wire(typeParse, "a name without an end"), false)
	f.Add(wire(typeBind, ""), false)
	f.Add(wire(typeComplete, "COMMIT\x00"), false)
	f.Add([]byte("Q\x00\x00\x00\x03"), false)
	f.Add([]byte("Q\xff\xff\xff\xff"), false)
	f.Fuzz(func(t *testing.T, said []byte, startup bool) {
		r := bufio.NewReader(bytes.NewReader(said))
		l := &link{statements: make(map[string]string)}
		l.cutAfter.Store(true)
		var passed []byte
		var executes []string
		for {
			kind, message, err := readMessage(r, startup)
			if err != nil {
				break
			}
			startup = false
			executes = append(executes, l.statement(kind, message))
			l.commits(kind, executes)
			l.hides(kind, message)
			passed = append(passed, message...)
		}
		if !bytes.HasPrefix(said, passed) {
			t.Errorf("of %q it passes %q on", said, passed)
		}
	})
}

func TestCommitsAreSeen(t *testing.T) {
	locks := append(wire(typeParse, "l\x00SELECT 1 FROM t FOR UPDATE\x00\x00\x00"), wire(typeBind, "\x00l\x00")...)
	writes := append(wire(typeParse, "w\x00INSERT\x00\x00\x00"), wire(typeBind, "\x00w\x00")...)
	begins := append(wire(typeParse, "b\x00BEGIN\x00\x00\x00"), wire(typeBind, "\x00b\x00")...)
	sync := wire(typeSync, "")
	for _, c := range []struct {
		said   []byte
		within bool // a transaction
		want   bool
	}{
		{wire(typeQuery, "COMMIT\x00"), true, true},
		{wire(typeQuery, " commit; \x00"), true, true},
		{wire(typeQuery, "COMMIT PREPARED 'x'\x00"), false, false},
		{append(wire(typeParse, "s\x00commit\x00\x00\x00"), wire(typeBind, "p\x00s\x00")...), true, true},
		{append(wire(typeParse, "s\x00commit\x00\x00\x00"), wire(typeBind, "s\x00p\x00")...), true, false},
		{append(wire(typeParse, "s\x00commit\x00\x00\x00"), append(wire(typeParse, "s\x00SELECT\x00\x00\x00"), wire(typeBind, "\x00s\x00")...)...), true, false},
		{slices.Concat(locks, writes, sync), false, true},
		{slices.Concat(locks, writes), false, false},
		{slices.Concat(locks, writes, sync), true, false},
		{slices.Concat(locks, sync), false, false},
		{slices.Concat(begins, locks, writes, sync), false, false},
	} {
		r, l, seen := bufio.NewReader(bytes.NewReader(c.said)), &link{statements: make(map[string]string)}, false
		l.idle.Store(!c.within)
		var executes []string
		for kind, message, err := readMessage(r, false); err == nil; kind, message, err = readMessage(r, false) {
			if sql := l.statement(kind, message); sql != "" {
				executes = append(executes, sql)
			}
			seen = l.commits(kind, executes)
		}
		if seen != c.want {
			t.Errorf("%q is a commit: %v, want %v", c.said, seen, c.want)
		}
	}
}

// A length costs memory as its bytes come, not as it is said.
func TestALengthIsNotTrusted(t *testing.T) {
	said := append([]byte{typeQuery}, 0x3f, 0xff, 0xff, 0xff, 'S')
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, _, err := readMessage(bufio.NewReader(bytes.NewReader(said)), false); err == nil {
		t.Error("a message of 1 GiB is read of 6 bytes")
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
		t.Errorf("it took %d bytes to read 6", got)
	}
	long := wire(typeQuery, string(make([]byte, 3*maxTrusted)))
	if _, message, err := readMessage(bufio.NewReader(bytes.NewReader(long)), false); err != nil || !bytes.Equal(message, long) {
		t.Errorf("a long message is read as %d bytes of %d, %v", len(message), len(long), err)
	}
}
