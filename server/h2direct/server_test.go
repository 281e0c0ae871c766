package h2direct_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"paystream/server/h2direct"
)

// server is one as server/listen.go makes it.
type server struct {
	address string
	srv     *http.Server
	closed  func(ctx context.Context) error // shuts down
	direct  chan bool                       // whether a handler of /stream has found its stream
	ended   chan error                      // of handlers of /forever
}

// serve answers /unary with n bytes, /stream with n bytes written directly in pieces of piece and end
// more through the ResponseWriter, and /forever with as many as the client takes.
func serve(t *testing.T, secure bool, timeout time.Duration) *server {
	t.Helper()
	s := &server{direct: make(chan bool, 1000), ended: make(chan error, 1000)}
	mux := http.NewServeMux()
	number := func(r *http.Request, name string) int {
		n, _ := strconv.Atoi(r.URL.Query().Get(name))
		return n
	}
	mux.HandleFunc("/unary", func(w http.ResponseWriter, r *http.Request) {
		for at, n := 0, number(r, "n"); at < n; {
			k := min(n-at, 1+number(r, "piece"))
			if _, err := w.Write(patternAt(at, k)); err != nil {
				return
			}
			at += k
		}
	})
	open := func(w http.ResponseWriter, r *http.Request) *h2direct.Stream {
		w.Header().Set("Trailer", "Grpc-Status")
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		stream := h2direct.StreamOf(r.Context(), w)
		s.direct <- stream != nil
		return stream
	}
	mux.HandleFunc("/stream", func(w http.ResponseWriter, r *http.Request) {
		stream := open(w, r)
		if stream == nil {
			return
		}
		at := 0
		for n := number(r, "n"); at < n; {
			k := min(n-at, number(r, "piece"))
			if err := stream.Write(patternAt(at, k)); err != nil {
				return
			}
			at += k
		}
		_, _ = w.Write(patternAt(at, number(r, "end")))
		w.Header().Set("Grpc-Status", "0")
	})
	mux.HandleFunc("/forever", func(w http.ResponseWriter, r *http.Request) {
		stream := open(w, r)
		for at := 0; stream != nil; at += 1000 {
			if err := stream.Write(patternAt(at, 1000)); err != nil {
				s.ended <- err
				return
			}
		}
	})
	s.listen(t, mux, secure, timeout)
	return s
}

func (s *server) listen(t *testing.T, handler http.Handler, secure bool, timeout time.Duration) {
	t.Helper()
	s.srv = &http.Server{Handler: handler, Protocols: &http.Protocols{}}
	s.srv.Protocols.SetHTTP1(true)
	s.srv.Protocols.SetHTTP2(true)
	h2 := &http2.Server{MaxConcurrentStreams: 1000, WriteByteTimeout: timeout} //nolint:staticcheck // what server/listen.go uses
	if err := http2.ConfigureServer(s.srv, h2); err != nil {                   //nolint:staticcheck // what server/listen.go uses
		t.Fatal(err)
	}
	s.srv.TLSNextProto[http2.NextProtoTLS] = func(hs *http.Server, c *tls.Conn, handler http.Handler) {
		h2direct.ServeTLS(h2, hs, c, handler, timeout)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address = l.Addr().String()
	s.closed = s.srv.Shutdown
	var cleartext *h2direct.Listener
	if !secure {
		cleartext = h2direct.NewListener(l, h2, s.srv, timeout)
		s.closed = func(ctx context.Context) error { return errors.Join(s.srv.Shutdown(ctx), cleartext.Wait(ctx)) }
	}
	done := started(func() error {
		if secure {
			helper := httptest.NewUnstartedServer(nil) // has a certificate
			helper.StartTLS()
			s.srv.TLSConfig.Certificates = helper.TLS.Certificates
			helper.Close()
			return s.srv.ServeTLS(h2direct.Corked(l), "", "")
		}
		return s.srv.Serve(cleartext)
	})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.closed(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
			_ = s.srv.Close()
		}
		<-done
	})
}

func schemes(t *testing.T, f func(t *testing.T, secure bool)) {
	t.Run("cleartext", func(t *testing.T) { f(t, false) })
	t.Run("TLS", func(t *testing.T) { f(t, true) })
}
