package cli

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/pflag"
)

// certificateFiles are the files with the certificate of a server and its key.
type certificateFiles struct{ certificate, key string }

// tlsFlags gives a server the flags for TLS.
func tlsFlags(flags *pflag.FlagSet) *certificateFiles {
	f := &certificateFiles{}
	flags.StringVar(&f.certificate, "tls-cert", "", "file with the certificate of the server and those in between, in PEM: HTTP is over TLS then. It is read anew when it changes")
	FromEnv(flags, "tls-cert")
	flags.StringVar(&f.key, "tls-key", "", "file with the key of --tls-cert, in PEM")
	FromEnv(flags, "tls-key")
	return f
}

// load reads the files; nil: there are none.
func (f *certificateFiles) load(logger zerolog.Logger) (*certificate, error) {
	if f.certificate == "" && f.key == "" {
		return nil, nil
	}
	if f.certificate == "" || f.key == "" {
		return nil, &Failure{ExitUsage, errors.New("--tls-cert and --tls-key go together"), "name the files of both"}
	}
	c := &certificate{files: *f, logger: logger}
	if err := c.read(); err != nil {
		return nil, &Failure{ExitUsage, fmt.Errorf("the certificate of --tls-cert and --tls-key: %w", err), "are both in PEM, and do they belong together?"}
	}
	return c, nil
}

// certificateInterval is how often it is looked whether the files have changed, at most.
const certificateInterval = time.Second

// certificate is that of a server, as the files have it.
type certificate struct {
	files  certificateFiles
	logger zerolog.Logger

	mu     sync.Mutex
	now    *tls.Certificate
	looked time.Time
	// version is that of the files that were read last.
	version string
}

// read reads the files.
func (c *certificate) read() error {
	version, err := c.fileVersion()
	if err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(c.files.certificate, c.files.key)
	c.version, c.looked = version, time.Now() // of what is wrong it is told once
	if err != nil {
		return err
	}
	c.now = &pair
	return nil
}

// fileVersion is another one when the files have changed.
func (c *certificate) fileVersion() (version string, err error) {
	for _, name := range []string{c.files.certificate, c.files.key} {
		about, err := os.Stat(name)
		if err != nil {
			return "", err
		}
		version += fmt.Sprint(about.ModTime().UnixNano(), about.Size(), ";")
	}
	return version, nil
}

// get returns the certificate for a connection. Where the files are wrong, as they may be while somebody changes them, it is the last one that
// was right.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) < certificateInterval {
		return c.now, nil
	}
	c.looked = time.Now()
	version, err := c.fileVersion()
	if err == nil && version == c.version {
		return c.now, nil
	}
	if err == nil {
		err = c.read()
	}
	if err != nil {
		c.logger.Error().Err(err).Msg("the certificate cannot be read anew; the last one is used")
	} else {
		c.logger.Info().Time("expires", c.now.Leaf.NotAfter).Msg("read the certificate anew")
	}
	return c.now, nil
}

// listen makes a listener take TLS.
func (c *certificate) listen(ln net.Listener) net.Listener {
	return tls.NewListener(ln, &tls.Config{GetCertificate: c.get, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}})
}
