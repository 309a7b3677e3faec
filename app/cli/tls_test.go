package cli

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// writeCertificate writes a certificate with a number, and its key.
func writeCertificate(t *testing.T, f certificateFiles, number int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{SerialNumber: big.NewInt(number), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	signed, err := x509.CreateCertificate(rand.Reader, about, about, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{f.certificate: {Type: "CERTIFICATE", Bytes: signed}, f.key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCertificatesAreReadAnew when their files change; of files that are wrong the last right ones count.
func TestCertificatesAreReadAnew(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files := certificateFiles{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	if _, err := files.load(zerolog.Nop()); ExitCode(err) != ExitUsage {
		t.Errorf("files that are not there: %v", err)
	}
	if _, err := (&certificateFiles{certificate: files.certificate}).load(zerolog.Nop()); ExitCode(err) != ExitUsage {
		t.Errorf("a certificate without a key: %v", err)
	}
	writeCertificate(t, files, 1)
	c, err := files.load(zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln := c.listen(plain)
	served := make(chan struct{})
	defer func() { _ = ln.Close(); <-served }()
	go func() {
		defer close(served)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			_ = conn.(*tls.Conn).HandshakeContext(context.Background())
			_ = conn.Close()
		}
	}()
	number := func() int64 {
		conn, err := tls.Dial("tcp", plain.Addr().String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	lookAgain := func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.looked = time.Time{}
	}
	if n := number(); n != 1 {
		t.Errorf("the certificate is number %d, want 1", n)
	}
	writeCertificate(t, files, 2)
	if err := os.WriteFile(files.key, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	lookAgain()
	if n := number(); n != 1 {
		t.Errorf("the certificate while its key is wrong is number %d, want 1", n)
	}
	writeCertificate(t, files, 3)
	lookAgain()
	if n := number(); n != 3 {
		t.Errorf("the certificate that was changed is number %d, want 3", n)
	}
}
