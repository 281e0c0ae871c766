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
		if len(p)-at < headerSize {
			o.have = copy(o.header[:], p[at:])
			break
		}
		h := parseHeader(p[at:])
		if !c.frameOut(h) {
			if err := c.send(p[sent:at]); err != nil {
				return err
			}
			sent = at
			if err := c.waitForRoom(h); err != nil {
				return err
			}
		}
		o.left = h.length
		at += headerSize
	}
	return c.send(p[sent:at])
}

// frameOut books a frame of the server's, and returns false where the client does not take it yet.
func (c *Conn) frameOut(h header) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.streams[h.stream]
	ends := h.kind == http2.FrameRSTStream
	switch h.kind {
	case http2.FrameData:
		if !c.takeForServer(h, a) {
			return false
		}
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

// takeForServer holds mu and reports whether there was room for a DATA frame.
func (c *Conn) takeForServer(h header, a *account) bool {
	n := int64(h.length)
	if n > 0 && (c.window.client < n || a != nil && a.client < n) {
		return false
	}
	for _, w := range [...]*window{&c.window, a.windowOf()} {
		if w != nil {
			w.client -= n
			w.server -= n
		}
	}
	return true
}

// windowOf returns nil of nil.
func (a *account) windowOf() *window {
	if a == nil {
		return nil
	}
	return &a.window
}

// waitForRoom holds wmu, but lets go of it while it waits for the room that a DATA frame of the server's
// needs: direct frames may have claimed what the client waits for.
func (c *Conn) waitForRoom(h header) error {
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
		c.acknowledged() // as no acknowledgement comes before this frame
		if a := c.streams[h.stream]; c.takeForServer(h, a) {
			if a != nil && h.flags.Has(http2.FlagDataEndStream) {
				c.ended(h.stream, a)
			}
			return nil
		}
		c.serverWaiting = c.window.client < int64(h.length)
		c.room.Wait()
	}
	return net.ErrClosed
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
