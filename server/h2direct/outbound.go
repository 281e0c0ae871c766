package h2direct

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
)

// maxFrame is how much one frame holds at the most, where a client takes larger ones.
const maxFrame = 64 << 10

// outbound is where the server's frames stand.
type outbound struct {
	header  [headerSize]byte
	have    int      // bytes of header, which are held back until it is whole
	left    int      // bytes left of the frame
	rest    header   // of a DATA frame whose payload goes on in another, as the client did not take all
	block   bool     // a header block goes on in the next frame
	opening *account // whose headers have begun
	number  bool     // within a number of theirs
}

// torn reports whether the server's next write goes on with a frame, or with what belongs to it.
func (o *outbound) torn() bool { return o.left > 0 || o.block }

// Write is for the server.
func (c *Conn) Write(p []byte) (int, error) {
	if !c.isHTTP2() {
		return c.Conn.Write(p) //nolint:wrapcheck // the connection's own
	}
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if err := c.pass(p); err != nil {
		return 0, err
	}
	c.boundary.Broadcast()
	return len(p), nil
}

// pass holds wmu. It notes the frames of the server's that begin in p. One that the client does not take
// yet lets what stands before it go first, as the client may want that to take more, and then waits.
func (c *Conn) pass(p []byte) error {
	o := &c.out
	if o.have > 0 {
		p = append(append(make([]byte, 0, o.have+len(p)), o.header[:o.have]...), p...)
		o.have = 0
	}
	sent, at := 0, 0
	for at < len(p) {
		if o.left > 0 {
			n := min(o.left, len(p)-at)
			c.inHeaders(p[at : at+n])
			o.left -= n
			at += n
			continue
		}
		h, begun := o.rest, at
		if h.length == 0 {
			if len(p)-at < headerSize {
				o.have = copy(o.header[:], p[at:])
				break
			}
			h = parseHeader(p[at:])
			at += headerSize
			if c.frameOut(h) {
				o.left = h.length
				continue
			}
		}
		if err := c.send(p[sent:begun]); err != nil {
			return err
		}
		sent = at
		if err := c.part(h); err != nil {
			return err
		}
	}
	return c.send(p[sent:at])
}

// part writes the header of as much of a DATA frame as the client takes.
func (c *Conn) part(h header) error {
	n, err := c.waitForRoom(h)
	if err != nil {
		return err
	}
	c.out.left, c.out.rest = n, h
	c.out.rest.length -= n
	b := appendDataHeader(nil, n, h.stream)
	if n == h.length {
		b[4] = byte(h.flags)
	}
	return c.send(b)
}

// frameOut books a frame of the server's, and returns false where the client does not take it yet.
func (c *Conn) frameOut(h header) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.streams[h.stream]
	ends := h.kind == http2.FrameRSTStream
	switch h.kind {
	case http2.FrameData:
		if c.roomForServer(h, a) < h.length {
			return false
		}
		c.takeForServer(int64(h.length), a)
		ends = h.flags.Has(http2.FlagDataEndStream)
	case http2.FrameHeaders:
		ends = h.flags.Has(http2.FlagHeadersEndStream)
		if a != nil && !a.opened {
			c.out.opening, c.out.number = a, false
		}
		c.out.block = !h.flags.Has(http2.FlagHeadersEndHeaders)
	case http2.FrameContinuation, http2.FramePushPromise:
		c.out.block = !h.flags.Has(http2.FlagContinuationEndHeaders)
	case http2.FrameSettings:
		if h.flags.Has(http2.FlagSettingsAck) {
			c.acknowledged()
		}
	}
	if ends && a != nil {
		c.ended(h.stream, a)
	}
	return true
}

// inHeaders holds wmu. A stream is open behind the headers whose first field is a status of 200; there
// may have been others, as 100. Changes of the size of HPACK's table come before that field.
func (c *Conn) inHeaders(p []byte) {
	o := &c.out
	for _, b := range p {
		switch {
		case o.opening == nil:
			return
		case o.number:
			o.number = b >= 1<<7
		case b>>5 == 1: // RFC 7541, section 6.3
			o.number = b == 1<<6-1
		default:
			if b == 1<<7|8 { // section 6.1, and the static table
				c.mu.Lock()
				o.opening.opened = true
				c.room.Broadcast()
				c.mu.Unlock()
			}
			o.opening = nil
		}
	}
}

// roomForServer holds mu and returns how much of a DATA frame the client takes.
func (c *Conn) roomForServer(h header, a *account) int {
	n := min(int64(h.length), c.window.client)
	if a != nil && a.direct {
		n = min(n, a.client)
	}
	return int(max(n, 0))
}

// takeForServer holds mu.
func (c *Conn) takeForServer(n int64, a *account) {
	c.window.client -= n
	c.window.server -= n
	if a != nil {
		a.client -= n
		a.server -= n
	}
}

// waitForRoom holds wmu, but lets go of it while it waits for room for a part of a DATA frame of the
// server's: direct frames may have claimed what the client waits for. It returns how large the part is.
func (c *Conn) waitForRoom(h header) (int, error) {
	c.boundary.Broadcast()
	c.wmu.Unlock()
	defer c.wmu.Lock()
	if c.timeout > 0 {
		defer time.AfterFunc(c.timeout, func() { _ = c.Close() }).Stop()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	defer func() {
		c.serverWaiting = false
		c.room.Broadcast()
	}()
	for !c.closed {
		if c.initial.server > c.initial.client {
			c.acknowledged() // as no acknowledgement comes before this frame
		}
		a := c.streams[h.stream]
		if n := c.roomForServer(h, a); n > 0 {
			c.takeForServer(int64(n), a)
			if n == h.length && a != nil && h.flags.Has(http2.FlagDataEndStream) {
				c.ended(h.stream, a)
			}
			return n, nil
		}
		c.serverWaiting = c.window.client <= 0
		c.room.Wait()
	}
	return 0, net.ErrClosed
}

// send holds wmu. A write that does not end in time goes on as long as the client takes some of it.
func (c *Conn) send(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	c.since.now()
	defer c.since.clear()
	if c.timeout > 0 {
		defer func() { _ = c.Conn.SetWriteDeadline(time.Time{}) }() // fails only with the connection
	}
	for {
		if c.timeout > 0 {
			_ = c.Conn.SetWriteDeadline(time.Now().Add(c.timeout)) // the same
		}
		n, err := c.Conn.Write(b)
		if err == nil {
			return nil
		}
		if b = b[n:]; n == 0 || c.broken.Load() || !errors.Is(err, os.ErrDeadlineExceeded) {
			_ = c.Conn.Close() // a frame is torn
			return err         //nolint:wrapcheck // the server looks at it
		}
	}
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
