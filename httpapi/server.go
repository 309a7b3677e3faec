package httpapi

import (
	"context"
	"errors"
	"fmt"
	stdlog "log"
	"net"
	"net/http"
	"time"
)

// ServeOptions are the choices of Serve. Its zero value works.
type ServeOptions struct {
	// DrainDelay is how long requests are still accepted after /readyz began to
	// say 503, for load balancers to notice. Default: none.
	DrainDelay time.Duration
	// Grace is how long requests that are being worked on may then take.
	// Default: the Timeout of the API and 5s for reading and answering.
	Grace time.Duration
}

const (
	headerTimeout  = 5 * time.Second
	idleTimeout    = 2 * time.Minute
	answerTimeout  = 30 * time.Second
	extraGrace     = 5 * time.Second
	maxHeaderBytes = 32 << 10
)

// Serve serves the API on ln until ctx is done. Then it says so in /readyz,
// takes no new connections, and returns when the requests being worked on are
// answered; no command is cut off in its middle unless Grace runs out, which is
// an error. It closes ln.
func (a *API) Serve(ctx context.Context, ln net.Listener, o ServeOptions) error {
	handler, err := a.Handler()
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	orDefault(&o.Grace, a.config.Timeout+extraGrace)
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		// Of reading, working and answering; the API has limits of its own for
		// the first two. A ReadTimeout would end work that takes longer.
		WriteTimeout:   a.config.BodyTimeout + a.config.Timeout + answerTimeout,
		IdleTimeout:    idleTimeout,
		MaxHeaderBytes: maxHeaderBytes,
		ErrorLog:       stdlog.New(a.config.Logger, "", 0),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()

	select {
	case err := <-served:
		return fmt.Errorf("serve %s: %w", ln.Addr(), err)
	case <-ctx.Done():
	}
	a.draining.Store(true)
	if err := sleep(o.DrainDelay, served); err != nil {
		return fmt.Errorf("serve %s: %w", ln.Addr(), err)
	}
	a.stopStreams()
	return shutDown(server, o.Grace, served)
}

// sleep waits, or returns early with the error that ended serving.
func sleep(d time.Duration, served <-chan error) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case err := <-served:
		return err
	}
}

func shutDown(server *http.Server, grace time.Duration, served <-chan error) error {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	err := server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("requests were still running after %v and were cut off: %w", grace, err), server.Close())
	}
	<-served // http.ErrServerClosed: the accept loop has ended
	return err
}
