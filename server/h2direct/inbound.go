package h2direct

import (
	"encoding/binary"
	"errors"
	"io"
	"time"

	"golang.org/x/net/http2"
)

// inbound is where the client's frames stand.
type inbound struct {
	buffer [256]byte
	held   int    // bytes at the buffer's start that are no whole frame yet
	ready  []byte // bytes of the buffer that the server may have
	shift  int    // where, behind ready, what is held begins
	skip   int    // bytes left of a frame that is passed on unseen
	begun  int    // bytes of the preface that have come
	plain  bool   // not HTTP/2
}

// What clients do that no server would bear; the server closes the connection.
var (
	errWindow   = errors.New("h2direct: a flow-control window is larger than may be")
	errSettings = errors.New("h2direct: a SETTINGS frame of more than any client has")
)

// Read is for the server.
func (c *Conn) Read(p []byte) (int, error) {
	in := &c.in
	for len(in.ready) == 0 {
		if in.plain {
			return c.Conn.Read(p)
		}
		in.held = copy(in.buffer[:], in.buffer[in.shift:in.shift+in.held])
		in.shift = 0
		n, err := c.Conn.Read(in.buffer[in.held:])
		if n == 0 && err != nil {
			if in.held > 0 && errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		}
		if err := c.receive(in.held + n); err != nil {
			return 0, err
		}
	}
	n := copy(p, in.ready)
	in.ready = in.ready[n:]
	return n, nil
}

// receive takes the buffer's first n bytes, and leaves in ready what the server is to see of them.
func (c *Conn) receive(n int) error {
	in := &c.in
	b := in.buffer[:n]
	from, to := 0, 0 // what is passed on moves between these
	pass := func(n int) {
		to += copy(b[to:], b[from:from+n])
		from += n
	}
	if in.begun < len(http2.ClientPreface) {
		k := min(n, len(http2.ClientPreface)-in.begun)
		if string(b[:k]) != http2.ClientPreface[in.begun:in.begun+k] {
			in.plain, in.ready, in.held = true, b, 0
			return nil
		}
		in.begun += k
		pass(k)
		if in.begun == len(http2.ClientPreface) {
			c.begin()
		}
	}
	for from < n {
		if in.skip > 0 {
			k := min(in.skip, n-from)
			in.skip -= k
			pass(k)
			continue
		}
		size, keep, err := c.frameIn(b[from:])
		if err != nil {
			return err
		}
		if size == 0 {
			break
		}
		if keep {
			pass(size)
		} else {
			from += size
		}
	}
	in.ready, in.shift, in.held = b[:to], from, n-from
	return nil
}

// begin says that the connection is HTTP/2.
func (c *Conn) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.http2 {
		return // known from TLS
	}
	c.http2, c.streams = true, make(map[uint32]*account, 1)
	_ = c.Conn.SetWriteDeadline(time.Time{}) // fails only with the connection
}

// frameIn looks at what b begins with, and returns how many bytes of it are done with, 0 where more
// must come first, and whether the server is to see them.
func (c *Conn) frameIn(b []byte) (size int, keep bool, err error) {
	if len(b) < headerSize {
		return 0, false, nil
	}
	h := parseHeader(b)
	whole := headerSize + h.length
	switch h.kind {
	case http2.FrameWindowUpdate:
		if h.length != 4 {
			break // the server says what it thinks of it
		}
		if len(b) < whole {
			return 0, false, nil
		}
		keep, err = c.windowUpdate(h.stream, b[headerSize:whole])
		return whole, keep, err
	case http2.FrameSettings:
		if h.flags.Has(http2.FlagSettingsAck) || h.length%6 != 0 {
			break
		}
		if whole > len(c.in.buffer) {
			return 0, false, errSettings
		}
		if len(b) < whole {
			return 0, false, nil
		}
		return whole, true, c.settings(b[headerSize:whole])
	case http2.FrameHeaders:
		c.request(h.stream)
	case http2.FrameRSTStream:
		c.end(h.stream)
	}
	c.in.skip = h.length
	return headerSize, true, nil
}

func (c *Conn) request(stream uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if stream <= c.newest {
		return // its trailers
	}
	c.newest = stream
	if len(c.streams) < maxStreams {
		c.streams[stream] = &account{window: c.initial}
	}
}

// windowUpdate books what a client gives, and writes into the frame how much of it the server is told;
// where it is told nothing, it is not to see the frame.
func (c *Conn) windowUpdate(stream uint32, payload []byte) (keep bool, err error) {
	n := int64(binary.BigEndian.Uint32(payload) & maxWindow)
	if n == 0 {
		return true, nil // wrong, as the server will say
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	w := &c.window
	if stream != 0 {
		a := c.streams[stream]
		if a == nil {
			return true, nil
		}
		w = &a.window
	}
	if w.client += n; w.client > maxWindow {
		return false, errWindow
	}
	c.room.Broadcast()
	told := min(n, max(0, serverWindow-w.server))
	if told == 0 {
		return false, nil
	}
	w.server += told
	binary.BigEndian.PutUint32(payload, uint32(told))
	return true, nil
}

// settings keeps what counts when the server has acknowledged it: until then, a client may hold it to
// what was, and frames of the server that go by it may be on their way.
func (c *Conn) settings(payload []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for ; len(payload) > 0; payload = payload[6:] {
		value := int64(binary.BigEndian.Uint32(payload[2:]))
		switch http2.SettingID(binary.BigEndian.Uint16(payload)) {
		case http2.SettingInitialWindowSize:
			if value > maxWindow {
				return nil // the server refuses it
			}
			for _, a := range c.streams {
				a.server += value - c.initial.server
				if a.client+value-c.initial.client > maxWindow {
					return errWindow
				}
			}
			c.initial.server = value
		case http2.SettingMaxFrameSize:
			c.frameNext = int(min(max(value, initialFrameSize), maxFrame))
			c.frame = min(c.frame, c.frameNext)
		}
	}
	c.room.Broadcast()
	return nil
}

// setInitial holds mu.
func (c *Conn) setInitial(value int64) {
	for _, a := range c.streams {
		a.client += value - c.initial.client
	}
	c.initial.client = value
}

// acknowledged holds mu.
func (c *Conn) acknowledged() {
	c.setInitial(c.initial.server)
	c.frame = c.frameNext
	c.room.Broadcast()
}

// end forgets a stream that the client has reset.
func (c *Conn) end(stream uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a := c.streams[stream]; a != nil {
		c.ended(stream, a)
	}
}

// ended holds mu.
func (c *Conn) ended(stream uint32, a *account) {
	a.ended = true
	delete(c.streams, stream)
	c.room.Broadcast()
}
