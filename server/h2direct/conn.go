package h2direct

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
)

const (
	initialWindow    = 65535 // RFC 9113, section 6.9.2
	initialFrameSize = 16384 // section 6.5.2
	maxWindow        = 1<<31 - 1
	// serverWindow is what the server's view of a window may grow to by what it is passed.
	serverWindow = 1 << 30
	// Direct frames leave this of a stream's window for its end, and of the connection's for other
	// answers. Clients give more when half of a window is used; none waits for so little to be left.
	streamReserve = 8 << 10
	connReserve   = 16 << 10
	// maxStreams bounds what is kept of streams; those beyond it are the server's alone.
	maxStreams = 10000
)

// Conn is a server's side of a connection, HTTP/2 or not: what does not begin with HTTP/2's preface is
// left alone.
type Conn struct {
	net.Conn
	cork    *corked // below Conn; nil where there is none
	timeout time.Duration
	in      inbound

	// wmu is held while writing to the network.
	wmu      sync.Mutex
	boundary sync.Cond // of wmu: frames of the server have been written
	out      outbound
	headers  []byte      // of a direct write's frames
	vectors  net.Buffers // the frames
	rest     net.Buffers // what is left of them
	since    atomicTime  // since when a write has been under way
	broken   atomic.Bool // a write is to fail

	// mu guards the accounts of windows; it may be taken while wmu is held, not the reverse.
	mu            sync.Mutex
	room          sync.Cond // of mu: a window has grown, a stream has begun or ended, or nothing will ever
	http2         bool
	window        window
	streams       map[uint32]*account
	newest        uint32 // stream
	initial       window // of new streams
	frame         int    // the largest frame that may be sent
	frameNext     int    // that from the server's next acknowledgement of SETTINGS on
	serverWaiting bool   // for the connection's window
	closed        bool
}

// window is how much the client takes, and how much of that the server knows of.
type window struct{ client, server int64 }

// account is what is known of a stream.
type account struct {
	window
	opened bool // its headers have been written
	direct bool // it has direct frames, of which the server's view knows nothing
	ended  bool // nothing may follow
}

// NewConn returns a connection that a server may be given in place of c. It is closed when the client
// lets the server send nothing for longer than timeout; 0 is never.
func NewConn(c net.Conn, timeout time.Duration) *Conn {
	conn := &Conn{Conn: c, timeout: timeout, frame: initialFrameSize, frameNext: initialFrameSize}
	conn.initial = window{client: initialWindow, server: initialWindow}
	conn.window = conn.initial
	conn.boundary.L, conn.room.L = &conn.wmu, &conn.mu
	return conn
}

// Close ends all waiting, too.
func (c *Conn) Close() error {
	err := c.Conn.Close()
	c.mu.Lock()
	c.closed = true
	c.room.Broadcast()
	c.mu.Unlock()
	c.wmu.Lock()
	c.boundary.Broadcast()
	c.wmu.Unlock()
	return err
}

// CloseWrite is what net/http calls for a client to see an answer before the connection is reset.
func (c *Conn) CloseWrite() error { return closeWrite(c.Conn) }

func closeWrite(c net.Conn) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite() //nolint:wrapcheck // the connection's own
	}
	return nil
}

// SetWriteDeadline does nothing on HTTP/2: the server means its own next write, and would hit a direct
// one that is under way.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	if c.isHTTP2() {
		return nil
	}
	return c.Conn.SetWriteDeadline(t) //nolint:wrapcheck // the connection's own
}

func (c *Conn) isHTTP2() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.http2
}

func (c *Conn) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// header is a frame's first nine bytes.
type header struct {
	length int
	kind   http2.FrameType
	flags  http2.Flags
	stream uint32
}

const headerSize = 9

func parseHeader(b []byte) header {
	return header{
		length: int(b[0])<<16 | int(b[1])<<8 | int(b[2]),
		kind:   http2.FrameType(b[3]),
		flags:  http2.Flags(b[4]),
		stream: (uint32(b[5])<<24 | uint32(b[6])<<16 | uint32(b[7])<<8 | uint32(b[8])) & (1<<31 - 1),
	}
}

// appendDataHeader appends that of a DATA frame.
func appendDataHeader(b []byte, length int, stream uint32) []byte {
	return append(b, byte(length>>16), byte(length>>8), byte(length), byte(http2.FrameData), 0,
		byte(stream>>24), byte(stream>>16), byte(stream>>8), byte(stream))
}
