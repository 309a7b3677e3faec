package onlineretail

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/57528e99/recount/domain/money"
)

// Config says where to send a book and how. All but Server may be left out.
type Config struct {
	// Server is the address of the server, e.g. http://127.0.0.1:8080.
	Server string
	// Header goes with every request, such as what says who sends it. Default: none.
	Header http.Header
	// Client sends the requests. Default: one that keeps Concurrency connections
	// open until Import or Verify returns.
	Client *http.Client
	// Concurrency is how many requests run at once. Default: 64. At most
	// MaxConcurrency.
	Concurrency int
	// KeyPrefix begins all idempotency keys. Books that have invoices of the same
	// number need different ones. Default: online-retail. At most 100 letters,
	// digits and . _ : ~ / -
	KeyPrefix string
	// Currency is the ISO 4217 code of the prices. Default: GBP.
	Currency string
	// RetryFor is how long one request is retried while the server is away or
	// overloaded. A server that has never answered gets 10s at most. Default: 1m.
	RetryFor time.Duration
	// Progress is told how far the import has come, every ProgressEvery and at
	// its end, never twice at once. Default: nobody is told.
	Progress func(Report)
	// ProgressEvery is the time between two calls of Progress. Default: 1s.
	ProgressEvery time.Duration

	ownTransport *http.Transport
}

// MaxConcurrency bounds how many requests of an import run at once.
const MaxConcurrency = 1024

var keyPrefixPattern = regexp.MustCompile(`^[A-Za-z0-9._:~/-]{1,100}$`)

func (c *Config) setDefaults() error {
	orDefault(&c.Concurrency, 64)
	orDefault(&c.KeyPrefix, "online-retail")
	orDefault(&c.Currency, "GBP")
	orDefault(&c.RetryFor, time.Minute)
	orDefault(&c.ProgressEvery, time.Second)
	switch {
	case c.Concurrency < 1 || c.Concurrency > MaxConcurrency:
		return fmt.Errorf("onlineretail: Concurrency must be from 1 to %d, it is %d", MaxConcurrency, c.Concurrency)
	case !keyPrefixPattern.MatchString(c.KeyPrefix):
		return fmt.Errorf("onlineretail: KeyPrefix must be 1 to 100 letters, digits and . _ : ~ / -, it is %q", c.KeyPrefix)
	case !money.IsCurrency(c.Currency):
		return fmt.Errorf("onlineretail: Currency must be three upper-case letters, e.g. GBP, it is %q", c.Currency)
	case c.RetryFor < 0 || c.ProgressEvery < 0:
		return errors.New("onlineretail: RetryFor and ProgressEvery must not be negative")
	}
	server, err := url.Parse(c.Server)
	if err != nil || server.Host == "" || server.Scheme != "http" && server.Scheme != "https" {
		return fmt.Errorf("the address of the server must be like http://127.0.0.1:8080, it is %q", c.Server)
	}
	if server.RawQuery != "" || server.Fragment != "" {
		return errors.New("the address of the server must have nothing behind its path")
	}
	c.Server = strings.TrimSuffix(c.Server, "/")
	if c.Client == nil {
		c.ownTransport = newTransport(c.Concurrency)
		c.Client = &http.Client{Transport: c.ownTransport}
	}
	return nil
}

// newTransport keeps as many connections as there are requests at once; the
// default would close most of them after each.
func newTransport(connections int) *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		MaxIdleConnsPerHost: connections,
		IdleConnTimeout:     time.Minute,
		TLSHandshakeTimeout: 10 * time.Second,
		DisableCompression:  true, // the answers are small
	}
}

func (c *Config) closeOwnClient() {
	if c.ownTransport != nil {
		c.ownTransport.CloseIdleConnections()
	}
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
