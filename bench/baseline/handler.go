package baseline

import (
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"

	"paystream/server/h2direct"
)

// handlerServer opens streams and waits: what net/http asks for a subscriber to whom nothing is
// sent.
type handlerServer struct {
	tuned  bool
	joined atomic.Int64
}

func (s *handlerServer) serve(listener net.Listener) error {
	srv := &http.Server{Handler: s, Protocols: &http.Protocols{}, ReadHeaderTimeout: 10 * time.Second}
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetUnencryptedHTTP2(!s.tuned)
	if s.tuned {
		h2, err := tune(srv)
		if err != nil {
			return err
		}
		listener = h2direct.NewListener(listener, h2, srv, time.Minute)
	}
	return srv.Serve(listener)
}

// tune gives a server the settings of paystream's: see httpServer in server/listen.go. It is to be
// kept the same, so that what remains between the two is paystream's own.
func tune(srv *http.Server) (*http2.Server, error) {
	srv.IdleTimeout = 3 * time.Minute
	srv.MaxHeaderBytes = 64 << 10
	h2 := &http2.Server{
		MaxConcurrentStreams: 1000,
		IdleTimeout:          3 * time.Minute,
		ReadIdleTimeout:      30 * time.Second,
		PingTimeout:          15 * time.Second,
		WriteByteTimeout:     time.Minute,
	}
	return h2, http2.ConfigureServer(srv, h2)
}

func (s *handlerServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.joined.Add(1)
	defer s.joined.Add(-1)
	w.WriteHeader(http.StatusOK)
	if http.NewResponseController(w).Flush() != nil || (s.tuned && s.takeOver(w, r)) {
		return
	}
	<-r.Context().Done()
}

// takeOver lets a request on HTTP/1.1 wait without net/http, as paystream does: see server/http1.go.
func (s *handlerServer) takeOver(w http.ResponseWriter, r *http.Request) bool {
	if r.ProtoMajor != 1 {
		return false
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return false
	}
	if other, ok := conn.(*h2direct.OtherConn); ok {
		conn = other.Rest()
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = conn.Read(make([]byte, 64))
	}()
	s.joined.Add(1)
	go func() {
		<-gone
		_ = conn.Close()
		s.joined.Add(-1)
	}()
	return true
}

func (s *handlerServer) subscribers() int { return int(s.joined.Load()) }

func (s *handlerServer) load([]event) error { return errors.New("a handler that waits sends nothing") }

func (s *handlerServer) publish(int) {}
