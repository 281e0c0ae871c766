package server

import (
	"context"
	"net"
	"net/http"
	"sync"

	"paystream/server/h2direct"
)

// Streams on HTTP/1.1 leave net/http once they are open: it keeps 10 KiB of buffers and a stack of 8 KiB
// with every connection, of which a stream that waits needs nothing. What is left to do is the chunked
// encoding, and to notice that the client has gone.

// switchWriter is the ResponseWriter of a request on HTTP/1.1, behind which the connection can be put in
// the place of net/http's.
type switchWriter struct{ http.ResponseWriter }

// Unwrap lets a ResponseController find what it needs.
func (w *switchWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush is what connect calls behind every message.
func (w *switchWriter) Flush() { _ = w.FlushError() }

// FlushError is what a ResponseController calls.
func (w *switchWriter) FlushError() error {
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// takeOver lets an open stream go on without net/http, and reports whether it does.
func (s *Server) takeOver(st *stream, w *switchWriter) bool {
	c := &chunkedConn{gone: make(chan struct{})}
	s.chunked.add(c) // before net/http lets go of it: one of them waits for it at the end
	conn, _, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		s.chunked.remove(c)
		return false
	}
	if other, ok := conn.(*h2direct.OtherConn); ok {
		conn = other.Rest()
	}
	s.chunked.begin(c, conn)
	s.stalls.swap(func() { w.ResponseWriter = c })
	st.detach(c.gone)
	go s.serveChunked(c, st)
	return true
}

// serveChunked runs a stream to its end. The less of its stack is in use while it waits, the smaller it is.
func (s *Server) serveChunked(c *chunkedConn, st *stream) {
	defer s.endChunked(c)
	go c.watch(st.cancel)
	st.run()
	c.end()
}

func (s *Server) endChunked(c *chunkedConn) {
	s.logPanic(recover()) // as net/http bears one
	_ = c.conn.Close()
	<-c.gone
	s.chunked.remove(c)
}

// chunkedConns are the connections that net/http knows nothing of any more.
type chunkedConns struct {
	mu     sync.Mutex
	none   sync.Cond // of mu: conns has become empty
	conns  map[*chunkedConn]struct{}
	closed bool
}

func newChunkedConns() *chunkedConns {
	c := &chunkedConns{conns: map[*chunkedConn]struct{}{}}
	c.none.L = &c.mu
	return c
}

// add enters one that has no connection yet; remove is to be called for it.
func (c *chunkedConns) add(conn *chunkedConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns[conn] = struct{}{}
}

// begin gives it its connection, which is closed where all have been.
func (c *chunkedConns) begin(conn *chunkedConn, of net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	conn.conn = of
	if c.closed {
		_ = of.Close()
	}
}

func (c *chunkedConns) remove(conn *chunkedConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.conns, conn)
	if len(c.conns) == 0 {
		c.none.Broadcast()
	}
}

// wait waits until there are none. When ctx ends it closes those that are left, and returns the context's
// error.
func (c *chunkedConns) wait(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.closed = true
		for conn := range c.conns {
			if conn.conn != nil {
				_ = conn.conn.Close() // what waits for it ends
			}
		}
	})
	c.mu.Lock()
	for len(c.conns) > 0 {
		c.none.Wait()
	}
	c.mu.Unlock()
	if !stop() {
		return ctx.Err()
	}
	return nil
}
