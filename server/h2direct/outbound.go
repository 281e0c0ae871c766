package h2direct

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
)

// maxFrame is how much one frame holds at the most, where a client takes larger ones.
const maxFrame = 64 << 10

// outbound is where the server's frames stand.
type outbound struct {
	header [headerSize]byte
	have   int  // bytes of header
	left   int  // bytes left of the frame
	block  bool // a header block goes on in the next frame
}

// torn reports whether the server's next write goes on with a frame, or with what belongs to it.
func (o *outbound) torn() bool { return o.have > 0 || o.left > 0 || o.block }

// Write is for the server.
func (c *Conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	http2 := c.http2
	c.mu.Unlock()
	if !http2 {
		return c.Conn.Write(p)
	}
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if err := c.account(p); err != nil {
		return 0, err
	}
	c.since.now()
	n, err := c.Conn.Write(p)
	c.since.clear()
	c.boundary.Broadcast()
	return n, err
}

// account holds wmu. It notes the frames of the server's that begin in p, and waits until the client
// takes their data.
func (c *Conn) account(p []byte) error {
	o := &c.out
	for len(p) > 0 {
		if o.left > 0 {
			k := min(o.left, len(p))
			o.left -= k
			p = p[k:]
			continue
		}
		k := copy(o.header[o.have:], p)
		o.have += k
		p = p[k:]
		if o.have < headerSize {
			return nil
		}
		h := parseHeader(o.header[:])
		o.have, o.left = 0, h.length
		if err := c.frameOut(h); err != nil {
			return err
		}
	}
	return nil
}

func (c *Conn) frameOut(h header) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.streams[h.stream]
	ends := h.kind == http2.FrameRSTStream
	switch h.kind {
	case http2.FrameHeaders, http2.FrameContinuation:
		c.out.block = !h.flags.Has(http2.FlagHeadersEndHeaders)
		if a != nil {
			a.opened = true
		}
		ends = h.kind == http2.FrameHeaders && h.flags.Has(http2.FlagHeadersEndStream)
	case http2.FrameData:
		ends = h.flags.Has(http2.FlagDataEndStream)
		if err := c.serverData(a, int64(h.length)); err != nil {
			return err
		}
	}
	if ends && a != nil {
		a.ended = true
		delete(c.streams, h.stream)
	}
	return nil
}

// serverData holds mu and waits for room in the connection's window; it comes before direct frames. A
// stream's own window has room: what the server sends on a stream with direct frames is its end, for
// which there is a reserve.
func (c *Conn) serverData(a *account, n int64) error {
	if c.window.client < n {
		if c.timeout > 0 {
			defer time.AfterFunc(c.timeout, func() { _ = c.Close() }).Stop()
		}
		c.serverWaiting = true
		for c.window.client < n && !c.closed {
			c.room.Wait()
		}
		c.serverWaiting = false
		c.room.Broadcast()
	}
	if c.closed {
		return net.ErrClosed
	}
	c.window.take(n)
	c.window.server -= n
	if a != nil {
		a.take(n)
		a.server -= n
	}
	return nil
}

func (w *window) take(n int64) { w.client -= n }

var errEnded = errors.New("the stream has ended")

// Write writes b as DATA frames, and keeps nothing of it. The error is the context's, or that of a
// stream or a connection that has ended.
func (s *Stream) Write(b []byte) error {
	for len(b) > 0 {
		n, frame, err := s.claim(len(b))
		if err != nil {
			return err
		}
		if err := s.conn.writeData(s, b[:n], frame); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// claim waits until the client takes more, and takes up to n bytes of its windows. It returns how many,
// and how large a frame may be.
func (s *Stream) claim(n int) (int, int, error) {
	c, ctx := s.conn, s.ctx
	c.mu.Lock()
	defer c.mu.Unlock()
	free := s.free()
	if free <= 0 {
		stop := context.AfterFunc(ctx, func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.room.Broadcast()
		})
		defer stop()
		for ; free <= 0 && ctx.Err() == nil && !c.closed; free = s.free() {
			c.room.Wait()
		}
	}
	switch {
	case ctx.Err() != nil:
		return 0, 0, ctx.Err()
	case c.closed:
		return 0, 0, net.ErrClosed
	}
	n = int(min(int64(n), free))
	c.window.take(int64(n))
	s.account.take(int64(n))
	return n, c.frame, nil
}

// free holds mu and returns what the windows have room for.
func (s *Stream) free() int64 {
	c := s.conn
	if c.serverWaiting {
		return 0
	}
	return min(c.window.client-connReserve, s.account.client-min(streamReserve, c.initial/16))
}

// unclaim gives back to the connection what a stream that has ended does not use.
func (c *Conn) unclaim(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.window.client += int64(n)
	c.room.Broadcast()
}

// writeData writes frames that the windows have room for.
func (c *Conn) writeData(s *Stream, b []byte, frame int) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if err := c.await(s); err != nil {
		c.unclaim(len(b))
		return err
	}
	if need := (len(b) + frame - 1) / frame * headerSize; cap(c.headers) < need {
		c.headers = make([]byte, 0, need)
	}
	c.headers, c.vectors = c.headers[:0], c.vectors[:0]
	for len(b) > 0 {
		n := min(len(b), frame)
		from := len(c.headers)
		c.headers = appendDataHeader(c.headers, n, s.id)
		c.vectors = append(c.vectors, c.headers[from:], b[:n])
		b = b[n:]
	}
	c.since.now()
	defer c.since.clear()
	if err := c.writeVectors(); err != nil {
		_ = c.Conn.Close() // a frame is torn
		return fmt.Errorf("write to the connection: %w", err)
	}
	return nil
}

// gathered are buffers for connections that do not take several slices at once, as TLS, which would
// make a record of each.
var gathered = sync.Pool{New: func() any { return new([]byte) }}

func (c *Conn) writeVectors() error {
	if _, ok := c.Conn.(*net.TCPConn); ok {
		c.rest = c.vectors
		_, err := c.rest.WriteTo(c.Conn)
		clear(c.vectors)
		return err
	}
	b, _ := gathered.Get().(*[]byte)
	defer gathered.Put(b)
	*b = (*b)[:0]
	for _, v := range c.vectors {
		*b = append(*b, v...)
	}
	clear(c.vectors)
	_, err := c.Conn.Write(*b)
	return err
}

// await holds wmu and waits until a frame of the stream may be written: behind its headers, and between
// frames of the server. It never takes long, as the server writes both without waiting for anybody.
func (c *Conn) await(s *Stream) error {
	if c.mayWrite(s) {
		return nil
	}
	ctx := s.ctx
	stop := context.AfterFunc(ctx, func() {
		c.wmu.Lock()
		defer c.wmu.Unlock()
		c.boundary.Broadcast()
	})
	defer stop()
	for !c.mayWrite(s) {
		switch {
		case s.account.ended:
			return errEnded
		case ctx.Err() != nil:
			return ctx.Err()
		case c.isClosed():
			return net.ErrClosed
		}
		c.boundary.Wait()
	}
	return nil
}

func (c *Conn) mayWrite(s *Stream) bool {
	return s.account.opened && !s.account.ended && !c.out.torn()
}

func (c *Conn) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// atomicTime is a time, or none.
type atomicTime struct{ nanoseconds atomic.Int64 }

func (t *atomicTime) now()   { t.nanoseconds.Store(time.Now().UnixNano()) }
func (t *atomicTime) clear() { t.nanoseconds.Store(0) }

func (t *atomicTime) load() time.Time {
	if n := t.nanoseconds.Load(); n != 0 {
		return time.Unix(0, n)
	}
	return time.Time{}
}
