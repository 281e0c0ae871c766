package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/http2"

	"paystream/server/h2direct"
)

// Serve serves on the listener until ctx ends. Then it closes it, ends every stream with its cursor, waits up
// to DrainTimeout for them, closes what is left, and returns nil.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	srv, h2, err := s.httpServer() //nolint:contextcheck // connections have contexts of their own
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	shutdown := func(ctx context.Context) error { return errors.Join(srv.Shutdown(ctx), s.chunked.wait(ctx)) }
	if s.cfg.TLSCertFile != "" {
		go func() { served <- srv.ServeTLS(h2direct.Corked(listener), s.cfg.TLSCertFile, s.cfg.TLSKeyFile) }()
	} else {
		direct := h2direct.NewListener(listener, h2, srv, s.cfg.WriteTimeout)
		shutdown = func(ctx context.Context) error {
			return errors.Join(srv.Shutdown(ctx), s.chunked.wait(ctx), direct.Wait(ctx))
		}
		go func() { served <- srv.Serve(direct) }()
	}
	select {
	case err := <-served:
		return fmt.Errorf("serve %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	s.cfg.Logger.Info("draining", "subscribers", s.Subscribers(), "timeout", s.cfg.DrainTimeout)
	drainCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.DrainTimeout)
	defer cancel()
	_ = listener.Close() // first: who is told to go elsewhere must not come back here
	s.drain()
	s.awaitStreams(drainCtx)
	if err := shutdown(drainCtx); err != nil {
		s.cfg.Logger.Warn("closing what did not end in time", "timeout", s.cfg.DrainTimeout, "subscribers", s.Subscribers())
		_ = srv.Close()
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("serve %s: %w", listener.Addr(), err)
	}
	return nil
}

// awaitStreams waits for the streams to end before their connections do: some clients take nothing behind a GOAWAY,
// trailers not either. Those that are stuck get half of the time.
func (s *Server) awaitStreams(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.DrainTimeout/2)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for s.Subscribers() > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// httpServer returns the servers of HTTP/1.1 and HTTP/2, with prior knowledge where there is no TLS.
// It has no read or write time-out, which would cut streams: headers have one, and each write.
func (s *Server) httpServer() (*http.Server, *http2.Server, error) {
	srv := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.cfg.Logger.Handler(), slog.LevelDebug), // clients' doings
		Protocols:         &http.Protocols{},
	}
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetHTTP2(true)
	h2 := &http2.Server{
		// The default of 250 would queue the pool of a proxy that puts all its clients on few connections.
		MaxConcurrentStreams: 1000,
		IdleTimeout:          idleTimeout,
		// A peer that vanished without a word is found by pings.
		ReadIdleTimeout: 30 * time.Second,
		PingTimeout:     15 * time.Second,
		// A stream's own deadline waits in line behind a connection that is stuck; this one does not.
		WriteByteTimeout: s.cfg.WriteTimeout,
	}
	if err := http2.ConfigureServer(srv, h2); err != nil {
		return nil, nil, fmt.Errorf("configure HTTP/2: %w", err)
	}
	srv.TLSNextProto[http2.NextProtoTLS] = func(hs *http.Server, c *tls.Conn, handler http.Handler) {
		h2direct.ServeTLS(h2, hs, c, handler, s.cfg.WriteTimeout)
	}
	return srv, h2, nil
}
