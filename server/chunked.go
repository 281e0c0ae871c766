package server

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// chunkAtOnce is how much is gathered before it is written, where nobody flushes.
	chunkAtOnce = 16 << 10
	// fewBytes are sooner copied than listed for the kernel.
	fewBytes = 2 << 10
	// farewell is how long a client has to read the end before the connection is closed.
	farewell = 500 * time.Millisecond
	// maxUnasked is how much a client may send that was not asked for.
	maxUnasked = 256 << 10
)

// chunkedConn is a connection on which a response has begun, in the chunked encoding.
type chunkedConn struct {
	conn   net.Conn
	held   *[]byte       // what is not written yet: room for a chunk's length, and its bytes
	err    error         // of the first write that failed, and may have torn a chunk: nothing may follow it
	header http.Header   // for trailers; nil until somebody asks for it
	gone   chan struct{} // closed when nobody reads from the connection any more, as the client has gone
}

var chunks = sync.Pool{New: func() any { return new([]byte) }}

// end ends the response, and gives the client time to read it.
func (c *chunkedConn) end() {
	if c.FlushError() != nil {
		return
	}
	if c.write(c.appendEnd(nil)) != nil {
		return
	}
	if half, ok := c.conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_ = c.conn.SetReadDeadline(time.Now().Add(farewell)) // fails only with the connection
		<-c.gone
	}
}

// appendEnd appends the last chunk and the trailers, which gRPC has.
func (c *chunkedConn) appendEnd(b []byte) []byte {
	trailers := bytes.NewBuffer(append(b, "0\r\n"...))
	for name, values := range c.header {
		if name, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			_ = http.Header{name: values}.Write(trailers) // a buffer does not fail
		}
	}
	return append(trailers.Bytes(), "\r\n"...)
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

// Header returns where trailers go, with [http.TrailerPrefix] before their names.
func (c *chunkedConn) Header() http.Header {
	if c.header == nil {
		c.header = http.Header{}
	}
	return c.header
}

// WriteHeader does nothing: the headers have been sent.
func (c *chunkedConn) WriteHeader(int) {}

func (c *chunkedConn) Write(b []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
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
		return c.err
	}
	b := *c.held
	var head [maxChunkHead]byte
	length := appendChunkHead(head[:0], len(b)-maxChunkHead)
	from := maxChunkHead - len(length)
	copy(b[from:], length)
	b = append(b, "\r\n"...)
	*c.held = b
	err := c.write(b[from:])
	if err == nil { // else it may still be read from
		chunks.Put(c.held)
	}
	c.held = nil
	return err
}

// write writes to the connection, where nothing has failed yet.
func (c *chunkedConn) write(b []byte) error {
	if c.err == nil {
		_, c.err = c.conn.Write(b)
	}
	return c.err
}

func appendChunkHead(b []byte, n int) []byte {
	return append(strconv.AppendInt(b, int64(n), 16), "\r\n"...)
}

// writeChunk writes b as it lies in memory, where the connection can take several slices at once.
func (c *chunkedConn) writeChunk(b []byte) error {
	head := appendChunkHead(make([]byte, 0, maxChunkHead), len(b))
	if _, ok := c.conn.(*net.TCPConn); ok {
		v := net.Buffers{head, b, []byte("\r\n")}
		_, c.err = v.WriteTo(c.conn)
		return c.err
	}
	whole, _ := chunks.Get().(*[]byte)
	*whole = append(append(append((*whole)[:0], head...), b...), "\r\n"...)
	err := c.write(*whole)
	if err == nil {
		chunks.Put(whole)
	}
	return err
}

// SetReadDeadline is for a ResponseController.
func (c *chunkedConn) SetReadDeadline(t time.Time) error { return c.conn.SetReadDeadline(t) } //nolint:wrapcheck // its own

// SetWriteDeadline is for a ResponseController.
func (c *chunkedConn) SetWriteDeadline(t time.Time) error { return c.conn.SetWriteDeadline(t) } //nolint:wrapcheck // its own
