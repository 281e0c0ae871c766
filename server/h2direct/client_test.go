package h2direct_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// pattern is what all bodies repeat.
var pattern = func() []byte {
	b := make([]byte, 65521)
	for i := range b {
		b[i] = byte(i ^ i>>8*31)
	}
	return bytes.Repeat(b, 20)
}()

func patternAt(offset, n int) []byte { return pattern[offset%65521:][:n] }

// client checks all that the server sends it; the first thing that is wrong is its error.
type client struct {
	t      *testing.T
	conn   net.Conn
	framer *http2.Framer // to read
	done   chan struct{} // the connection has ended

	mu       sync.Mutex
	change   sync.Cond
	out      bytes.Buffer
	write    *http2.Framer
	block    bytes.Buffer
	hpack    *hpack.Encoder
	streams  map[uint32]*clientStream
	next     uint32
	window   int64
	initial  int64
	unacked  []int64 // initial windows that the server has not acknowledged
	frame    int
	err      error
	stopping bool
}

type clientStream struct {
	id       uint32
	window   int64
	owed     int64 // of the window, to be given back
	stalled  bool  // gives nothing back
	late     bool  // gives back when half is used
	headers  int
	received int
	ended    bool
	reset    bool // by the client
	refused  bool // by the server
	trailers map[string]string
}

func dial(t *testing.T, address string, secure bool, initial, conn int64, frame int) *client {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	if secure {
		s := tls.Client(nc, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
		if err := s.Handshake(); err != nil {
			t.Fatal(err)
		}
		nc = s
	}
	c := &client{
		t: t, conn: nc, done: make(chan struct{}), framer: http2.NewFramer(nil, nc), next: 1,
		streams: make(map[uint32]*clientStream), window: window, initial: window, frame: frame,
	}
	c.change.L = &c.mu
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.framer.SetMaxReadFrameSize(uint32(frame))
	c.write, c.hpack = http2.NewFramer(&c.out, nil), hpack.NewEncoder(&c.block)
	c.out.WriteString(http2.ClientPreface)
	c.sent(func() {
		_ = c.write.WriteSettings(
			http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(initial)},
			http2.Setting{ID: http2.SettingMaxFrameSize, Val: uint32(frame)},
			http2.Setting{ID: http2.SettingHeaderTableSize, Val: 1000},
		)
		c.unacked = append(c.unacked, initial)
		if conn > window {
			_ = c.write.WriteWindowUpdate(0, uint32(conn-window))
			c.window = conn
		}
	})
	go c.read()
	t.Cleanup(func() { c.close(); c.check() })
	return c
}

// sent writes what f makes.
func (c *client) sent(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
	c.flush()
}

func (c *client) flush() {
	_, _ = c.conn.Write(c.out.Bytes()) // fails only with the connection, as reading then tells
	c.out.Reset()
}

func (c *client) close() {
	c.mu.Lock()
	c.stopping = true
	c.mu.Unlock()
	_ = c.conn.Close()
	<-c.done
}

func (c *client) check() {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		c.t.Error(c.err)
	}
}

// get asks for a path.
func (c *client) get(path string, set ...func(*clientStream)) *clientStream {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &clientStream{id: c.next, window: c.initial}
	c.next += 2
	c.streams[s.id] = s
	for _, f := range set {
		f(s)
	}
	c.block.Reset()
	for _, f := range []string{":method GET", ":scheme http", ":authority test", ":path " + path} {
		name, value, _ := strings.Cut(f, " ")
		_ = c.hpack.WriteField(hpack.HeaderField{Name: name, Value: value})
	}
	_ = c.write.WriteHeaders(http2.HeadersFrameParam{StreamID: s.id, BlockFragment: c.block.Bytes(), EndHeaders: true, EndStream: true})
	c.flush()
	return s
}

func stalled(s *clientStream) { s.stalled = true }
func late(s *clientStream)    { s.late = true }

// cancel resets a stream.
func (c *client) cancel(s *clientStream) {
	c.sent(func() {
		s.reset = true
		if s.stalled && s.owed > 0 {
			_ = c.write.WriteWindowUpdate(0, uint32(s.owed))
			c.window += s.owed
		}
		s.owed = 0
		_ = c.write.WriteRSTStream(s.id, http2.ErrCodeCancel)
	})
}

// resize changes the initial window; what is smaller counts when the server has acknowledged it, and
// so does what is larger.
func (c *client) resize(initial int64) {
	c.sent(func() {
		_ = c.write.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(initial)})
		c.unacked = append(c.unacked, initial)
	})
}

// until waits for ok, which is asked with each frame.
func (c *client) until(what string, ok func() bool) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	defer time.AfterFunc(patience, c.change.Broadcast).Stop()
	for end := time.Now().Add(patience); !ok(); c.change.Wait() {
		if c.err != nil {
			c.t.Fatal(c.err)
		}
		if !time.Now().Before(end) {
			c.t.Fatalf("not in time: %s", what)
		}
	}
}

// whole waits for a stream's end behind n bytes.
func (c *client) whole(s *clientStream, n int) {
	c.t.Helper()
	c.until(fmt.Sprintf("the end of stream %d", s.id), func() bool { return s.ended || s.refused })
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.received != n || s.refused {
		c.t.Fatalf("stream %d: %d bytes, want %d (reset by the server: %t)", s.id, s.received, n, s.refused)
	}
}

func (c *client) read() {
	defer close(c.done)
	for {
		frame, err := c.framer.ReadFrame()
		c.mu.Lock()
		if err == nil {
			err = c.take(frame)
			c.flush()
		}
		if err != nil && c.err == nil && !c.stopping {
			c.err = err
		}
		c.change.Broadcast()
		c.mu.Unlock()
		if err != nil {
			_ = c.conn.Close()
			return
		}
	}
}

// take checks a frame; c.mu is held.
func (c *client) take(frame http2.Frame) error {
	s := c.streams[frame.Header().StreamID]
	switch f := frame.(type) {
	case *http2.SettingsFrame:
		if f.IsAck() {
			// net/http acknowledges several at once.
			value := c.unacked[len(c.unacked)-1]
			c.unacked = c.unacked[:0]
			for _, s := range c.streams {
				s.window += value - c.initial
			}
			c.initial = value
			return nil
		}
		_ = c.write.WriteSettingsAck()
	case *http2.PingFrame:
		if !f.IsAck() {
			_ = c.write.WritePing(true, f.Data)
		}
	case *http2.GoAwayFrame:
		if f.ErrCode != http2.ErrCodeNo {
			return fmt.Errorf("the server goes away: %v", f)
		}
	case *http2.RSTStreamFrame:
		if s == nil || s.refused {
			return fmt.Errorf("%v", f)
		}
		s.refused = true
	case *http2.MetaHeadersFrame:
		if s == nil || s.ended || s.refused || s.headers > 0 && !f.StreamEnded() {
			return fmt.Errorf("out of place: %v", f)
		}
		s.headers++
		s.ended = f.StreamEnded()
		if s.headers == 2 {
			s.trailers = make(map[string]string)
			for _, h := range f.Fields {
				s.trailers[h.Name] = h.Value
			}
		}
	case *http2.DataFrame:
		if s == nil || s.ended || s.refused || s.headers != 1 {
			return fmt.Errorf("out of place: %v", f)
		}
		return c.data(s, f)
	}
	return nil
}

func (c *client) data(s *clientStream, f *http2.DataFrame) error {
	b, n := f.Data(), int64(f.Length)
	c.window -= n
	s.window -= n
	switch {
	case n > 0 && (c.window < 0 || s.window < 0):
		return fmt.Errorf("more than the windows hold: %v, %d of the connection, %d of the stream", f, c.window, s.window)
	case int(n) > c.frame:
		return fmt.Errorf("too large: %v", f)
	case !bytes.Equal(b, patternAt(s.received, len(b))):
		return fmt.Errorf("stream %d: wrong bytes behind %d: %v", s.id, s.received, f)
	}
	s.received += len(b)
	s.ended = f.StreamEnded()
	s.owed += n
	if s.stalled && !s.reset || n == 0 {
		return nil
	}
	if s.reset {
		n, s.owed = s.owed, 0
	}
	_ = c.write.WriteWindowUpdate(0, uint32(n))
	c.window += n
	if !s.ended && !s.reset && (!s.late || s.owed >= c.initial/2) {
		_ = c.write.WriteWindowUpdate(s.id, uint32(s.owed))
		s.window += s.owed
		s.owed = 0
	}
	return nil
}
