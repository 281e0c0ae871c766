package h2direct

import (
	"context"
	"net"
	"net/http"
	"reflect"
	"sync"
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
	streamReserve = 4 << 10
	connReserve   = 16 << 10
	// maxStreams bounds what is kept of streams; those beyond it are the server's alone.
	maxStreams = 10000
)

// Conn is a server's side of a connection, HTTP/2 or not: what does not begin with HTTP/2's preface is
// left alone.
type Conn struct {
	net.Conn
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

	// mu guards the accounts of windows; it may be taken while wmu is held, not the reverse.
	mu            sync.Mutex
	room          sync.Cond // of mu: a window has grown, or nothing will ever
	http2         bool
	window        window
	streams       map[uint32]*account
	newest        uint32 // stream
	initial       int64  // window of new streams
	frame         int    // the largest frame that the client takes
	serverWaiting bool
	closed        bool
}

// window is how much the client takes, and how much of that the server knows of.
type window struct{ client, server int64 }

// account is what is known of a stream.
type account struct {
	window
	opened bool // its headers have been written; guarded by wmu
	ended  bool // nothing may follow; guarded by wmu
}

// NewConn returns a connection that a server may be given in place of c. It is closed when the client
// lets the server send nothing for longer than timeout; 0 is never.
func NewConn(c net.Conn, timeout time.Duration) *Conn {
	conn := &Conn{Conn: c, timeout: timeout, initial: initialWindow, frame: initialFrameSize}
	conn.window = window{client: initialWindow, server: initialWindow}
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
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite() //nolint:wrapcheck // the connection's own
	}
	return nil
}

type connKey struct{}

// Context returns a context in which handlers find the connection; it is an [http.Server]'s
// ConnContext.
func Context(ctx context.Context, c net.Conn) context.Context {
	if conn, ok := c.(*Conn); ok {
		return context.WithValue(ctx, connKey{}, conn)
	}
	return ctx
}

// Stream is a stream whose frames are written directly, by one goroutine.
type Stream struct {
	ctx     context.Context //nolint:containedctx // a stream lives as long as the handler's call
	conn    *Conn
	id      uint32
	account *account
}

// StreamOf returns the stream that a handler answers, ctx being its request's, or nil where it can only be written to through
// the ResponseWriter: on HTTP/1.1, and where the server is not as we know it.
func StreamOf(ctx context.Context, w http.ResponseWriter) *Stream {
	c, ok := ctx.Value(connKey{}).(*Conn)
	if !ok {
		return nil
	}
	id, ok := streamID(w)
	if !ok {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.streams[id]
	if a == nil {
		return nil
	}
	return &Stream{ctx: ctx, conn: c, id: id, account: a}
}

// streamID reads the stream's number, which the server does not tell. A test fails where this does not
// succeed with the server that is in use.
func streamID(w http.ResponseWriter) (uint32, bool) {
	v := reflect.ValueOf(w)
	for _, field := range []string{"rws", "stream", "id"} {
		if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
			return 0, false
		}
		if v = v.Elem().FieldByName(field); !v.IsValid() {
			return 0, false
		}
	}
	if v.Kind() != reflect.Uint32 {
		return 0, false
	}
	return uint32(v.Uint()), true
}

// WritingSince returns since when a write to the network has been under way; zero is never.
func (s *Stream) WritingSince() time.Time { return s.conn.since.load() }

// Break makes a write to the network that is under way fail, and the connection with it.
func (s *Stream) Break() { _ = s.conn.SetWriteDeadline(time.Unix(1, 0)) }

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
