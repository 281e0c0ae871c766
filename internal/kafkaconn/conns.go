package kafkaconn

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// DialError says which address could not be connected to.
type DialError struct {
	Address string // host:port as it was given or as a broker advertises it
	Err     error
}

func (e *DialError) Error() string { return fmt.Sprintf("connect to %s: %v", e.Address, e.Err) }

func (e *DialError) Unwrap() error { return e.Err }

// HandshakeError says that TLS could not be agreed on.
type HandshakeError struct{ Err error }

func (e *HandshakeError) Error() string { return fmt.Sprintf("TLS handshake: %v", e.Err) }

func (e *HandshakeError) Unwrap() error { return e.Err }

// conns opens connections and remembers them until they are closed. kafka-go
// leaves connections that are in use to themselves when it is told to close,
// for as long as their request takes.
//
// TLS is made here too: kafka-go's own dialer forgets a connection whose
// handshake fails, and its transport tells a failed handshake from a failed
// request only by the text of the error.
type conns struct {
	dialer net.Dialer
	tls    *tls.Config // nil is none

	mu     sync.Mutex
	closed bool
	open   map[*conn]struct{}
	gone   sync.WaitGroup // of what is in open
}

func newConns(config *tls.Config) *conns {
	return &conns{
		tls:    config,
		dialer: net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second},
		open:   map[*conn]struct{}{},
	}
}

// dial connects. Should ctx run out of time while the connection is being set
// up, it is closed: kafka-go waits without a limit for a broker's answers in a
// SASL exchange. (It cancels ctx, which is another thing, once it is set up.)
func (cs *conns) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := cs.connect(ctx, network, address)
	if err != nil {
		return nil, &DialError{Address: address, Err: err}
	}
	return c, nil
}

func (cs *conns) connect(ctx context.Context, network, address string) (*conn, error) {
	nc, err := cs.dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: nc, raw: nc, owner: cs}
	if err := cs.remember(ctx, c); err != nil {
		_ = nc.Close()
		return nil, err
	}
	if cs.tls == nil {
		return c, nil
	}
	if c.Conn, err = handshake(ctx, nc, cs.tls, address); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

func (cs *conns) remember(ctx context.Context, c *conn) error {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.closed {
		return net.ErrClosed
	}
	cs.open[c] = struct{}{}
	cs.gone.Add(1)
	c.unwatch = context.AfterFunc(ctx, func() {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			c.late.Store(true)
			_ = c.raw.Close() // whoever uses c sees it, and closes c
		}
	})
	return nil
}

func handshake(ctx context.Context, nc net.Conn, config *tls.Config, address string) (*tls.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	config = config.Clone()
	config.ServerName = host
	c := tls.Client(nc, config)
	if err := c.HandshakeContext(ctx); err != nil {
		return c, &HandshakeError{Err: err}
	}
	return c, nil
}

// close closes all connections. Their users see it, and wait waits until they
// have closed them too.
func (cs *conns) close() {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.closed = true
	for c := range cs.open {
		_ = c.raw.Close()
	}
}

func (cs *conns) wait() { cs.gone.Wait() }

// conn is a connection, encrypted or not.
type conn struct {
	net.Conn
	raw     net.Conn // the same without TLS
	owner   *conns
	unwatch func() bool
	late    atomic.Bool // it was not set up in time
	once    sync.Once

	head []byte // of what was read, until its first 4 bytes have been looked at
	seen bool
}

// maxFirst bounds a connection's first response, which lists the APIs that the
// broker knows.
const maxFirst = 1 << 20

// What other servers than Kafka send first.
var (
	errNotKafka  = errors.New("not a Kafka response")
	errSpeaksTLS = errors.New("a TLS record came where TLS is not spoken")
)

// Read looks at the first bytes that a server sends. They are the size of its
// first response, and kafka-go believes them: from a web server it takes
// gigabytes of memory for an array of "400 Bad Request".
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil && c.late.Load() {
		return n, os.ErrDeadlineExceeded
	}
	if c.seen {
		return n, err
	}
	c.head = append(c.head, b[:min(n, 4-len(c.head))]...)
	if len(c.head) < 4 {
		return n, err
	}
	c.seen = true
	switch size := binary.BigEndian.Uint32(c.head); {
	case c.head[0] == 0x15 && c.head[1] == 0x03:
		return 0, errSpeaksTLS
	case size > maxFirst:
		return 0, fmt.Errorf("%w: it begins with %q", errNotKafka, c.head)
	}
	return n, err
}

func (c *conn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() {
		c.unwatch()
		c.owner.mu.Lock()
		delete(c.owner.open, c)
		c.owner.mu.Unlock()
		c.owner.gone.Done()
	})
	return err
}
