package brokers

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/57528e99/recount/delivery"
)

// TLS returns how connections are encrypted; nil: they are not. What it names is read now.
func TLS(c *delivery.BrokerTLS) (*tls.Config, error) {
	if c == nil {
		return nil, nil
	}
	made := &tls.Config{ServerName: c.ServerName, MinVersion: tls.VersionTLS12}
	if c.CA.IsReference() {
		text, err := c.CA.ReadText()
		if err != nil {
			return nil, err
		}
		made.RootCAs = x509.NewCertPool()
		if !made.RootCAs.AppendCertsFromPEM([]byte(text)) {
			return nil, errors.New("tls.ca has no certificate in PEM")
		}
	}
	if c.Certificate.IsReference() {
		certificate, err := c.Certificate.ReadText()
		if err != nil {
			return nil, err
		}
		key, err := c.Key.ReadText()
		if err != nil {
			return nil, err
		}
		pair, err := tls.X509KeyPair([]byte(certificate), []byte(key))
		if err != nil {
			return nil, fmt.Errorf("tls.certificate and tls.key: %w", err)
		}
		made.Certificates = []tls.Certificate{pair}
	}
	return made, nil
}
