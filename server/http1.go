package server

import (
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

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
func (w *switchWriter) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }

// takeOver lets an open stream go on without net/http, and reports whether it does.
func (s *Server) takeOver(st *stream, w *switchWriter) bool {
	conn, _, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return false
	}
	if other, ok := conn.(*h2direct.OtherConn); ok {
		conn = other.Rest()
	}
	c := &chunkedConn{conn: conn, gone: make(chan struct{})}
	w.ResponseWriter = c
	st.detach(c.gone)
	if !s.chunked.add(c) {
		_ = conn.Close()
	}
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

const (
	// chunkAtOnce is how much is gathered before it is written, where nobody flushes.
	chunkAtOnce = 16 << 10
	// fewBytes are sooner copied than listed for the kernel.
	fewBytes = 2 << 10
	// farewell is how long a client has to read the end before the connection is closed.
	farewell = 500 * time.Millisecond
	// maxUnasked is how much a client may send that was not asked for.
	maxUnasked = 64 << 10
)

// chunkedConn is a connection on which a response has begun, in the chunked encoding.
type chunkedConn struct {
	conn net.Conn
	held *[]byte       // what is not written yet: room for a chunk's length, and its bytes
	gone chan struct{} // closed when nobody reads from the connection any more, as the client has gone
}

var chunks = sync.Pool{New: func() any { return new([]byte) }}

// end ends the response, and gives the client time to read it.
func (c *chunkedConn) end() {
	if c.FlushError() != nil {
		return
	}
	if _, err := io.WriteString(c.conn, "0\r\n\r\n"); err != nil {
		return
	}
	if half, ok := c.conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_ = c.conn.SetReadDeadline(time.Now().Add(farewell)) // fails only with the connection
		<-c.gone
	}
}

// watch waits until the client goes, or sends what it should not.
func (c *chunkedConn) watch(cancel context.CancelFunc) {
	defer close(c.gone)
	defer cancel()
	b := make([]byte, 16)
	for got := 0; got < maxUnasked; {
		n, err := c.conn.Read(b)
		if err != nil {
			return
		}
		got += n
	}
}

// Header is of no use any more.
func (c *chunkedConn) Header() http.Header { return http.Header{} }

// WriteHeader does nothing: the headers have been sent.
func (c *chunkedConn) WriteHeader(int) {}

func (c *chunkedConn) Write(b []byte) (int, error) {
	if len(b) > fewBytes {
		if err := c.FlushError(); err != nil {
			return 0, err
		}
		return len(b), c.writeChunk(b)
	}
	if c.held == nil {
		c.held, _ = chunks.Get().(*[]byte)
		*c.held = append((*c.held)[:0], make([]byte, maxChunkHead)...)
	}
	*c.held = append(*c.held, b...)
	if len(*c.held) >= chunkAtOnce {
		return len(b), c.FlushError()
	}
	return len(b), nil
}

// maxChunkHead is room for a chunk's length.
const maxChunkHead = 10

// Flush implements [http.Flusher].
func (c *chunkedConn) Flush() { _ = c.FlushError() }

// FlushError writes what is held.
func (c *chunkedConn) FlushError() error {
	if c.held == nil {
		return nil
	}
	b := *c.held
	var head [maxChunkHead]byte
	length := appendChunkHead(head[:0], len(b)-maxChunkHead)
	from := maxChunkHead - len(length)
	copy(b[from:], length)
	b = append(b, "\r\n"...)
	_, err := c.conn.Write(b[from:])
	*c.held = b
	if err == nil { // else it may still be read from
		chunks.Put(c.held)
	}
	c.held = nil
	return err //nolint:wrapcheck // as net/http's
}

func appendChunkHead(b []byte, n int) []byte {
	return append(strconv.AppendInt(b, int64(n), 16), "\r\n"...)
}

// writeChunk writes b as it lies in memory, where the connection can take several slices at once.
func (c *chunkedConn) writeChunk(b []byte) error {
	head := appendChunkHead(make([]byte, 0, maxChunkHead), len(b))
	if _, ok := c.conn.(*net.TCPConn); ok {
		v := net.Buffers{head, b, []byte("\r\n")}
		_, err := v.WriteTo(c.conn)
		return err //nolint:wrapcheck // as net/http's
	}
	whole, _ := chunks.Get().(*[]byte)
	*whole = append(append(append((*whole)[:0], head...), b...), "\r\n"...)
	_, err := c.conn.Write(*whole)
	if err == nil {
		chunks.Put(whole)
	}
	return err //nolint:wrapcheck // as net/http's
}

// SetReadDeadline is for a ResponseController.
func (c *chunkedConn) SetReadDeadline(t time.Time) error { return c.conn.SetReadDeadline(t) } //nolint:wrapcheck // its own

// SetWriteDeadline is for a ResponseController.
func (c *chunkedConn) SetWriteDeadline(t time.Time) error { return c.conn.SetWriteDeadline(t) } //nolint:wrapcheck // its own

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

// add reports false where all have been closed; remove is to be called all the same.
func (c *chunkedConns) add(conn *chunkedConn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns[conn] = struct{}{}
	return !c.closed
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
			_ = conn.conn.Close() // what waits for it ends
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
