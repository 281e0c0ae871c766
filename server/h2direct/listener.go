package h2direct

import (
	"context"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

// Listener tells cleartext HTTP/2 connections apart and has them served. What it hands out are the others:
// an [http.Server] that had all of them would have made 8 KiB of buffers for each before it knew, and keep
// them.
type Listener struct {
	net.Listener
	h2      *http2.Server //nolint:staticcheck // see NewListener
	srv     *http.Server
	timeout time.Duration

	others  chan net.Conn
	failure chan error
	closing chan struct{}
	running sync.WaitGroup

	mu     sync.Mutex
	closed bool
	conns  map[*Conn]state
}

// state is what is known of a connection.
type state int

const (
	unknown state = iota
	http2Served
)

// NewListener returns a listener in place of l, for srv to serve. On HTTP/2 it is served by h2, which srv
// is configured with; see [NewConn] for the timeout.
//
//nolint:staticcheck // deprecated in favour of net/http's own HTTP/2, which server/listen.go does not use
func NewListener(l net.Listener, h2 *http2.Server, srv *http.Server, timeout time.Duration) *Listener {
	out := &Listener{
		Listener: l, h2: h2, srv: srv, timeout: timeout,
		others: make(chan net.Conn), failure: make(chan error), closing: make(chan struct{}), conns: map[*Conn]state{},
	}
	out.running.Go(out.accept)
	return out
}

// Accept returns the next connection that is not HTTP/2.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.others:
		return c, nil
	case err := <-l.failure:
		return nil, err
	case <-l.closing:
		return nil, net.ErrClosed
	}
}

// Close lets no more connections begin. Those on HTTP/2 go on.
func (l *Listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	close(l.closing)
	l.closeAll(unknown)
	return l.Listener.Close() //nolint:wrapcheck // the listener's own
}

// Wait closes the listener and waits until all has ended that it has begun. When ctx ends it closes the
// connections that are left, and returns the context's error.
func (l *Listener) Wait(ctx context.Context) error {
	_ = l.Close() // as often as one likes
	stop := context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.closeAll(http2Served)
	})
	l.running.Wait()
	if !stop() {
		return ctx.Err()
	}
	return nil
}

// closeAll holds mu.
func (l *Listener) closeAll(of state) {
	for c, s := range l.conns {
		if s == of {
			_ = c.Conn.Close() // what waits for it ends
		}
	}
}

func (l *Listener) accept() {
	for {
		c, err := l.Listener.Accept()
		if err == nil {
			l.running.Go(func() { l.begin(NewConn(c, l.timeout)) })
			continue
		}
		select { // the server says whether to go on, and when
		case l.failure <- err:
		case <-l.closing:
			return
		}
	}
}

// begin finds out what a connection is.
func (l *Listener) begin(c *Conn) {
	if !l.enter(c, unknown) {
		_ = c.Conn.Close()
		return
	}
	if l.srv.ReadHeaderTimeout > 0 {
		_ = c.SetReadDeadline(time.Now().Add(l.srv.ReadHeaderTimeout)) // fails only with the connection
	}
	isHTTP2, begun, err := c.sniff()
	if err != nil {
		l.leave(c)
		_ = c.Conn.Close()
		return
	}
	_ = c.SetReadDeadline(time.Time{}) // fails only with the connection
	if !isHTTP2 {
		l.leave(c)
		l.handOut(&OtherConn{Conn: c.Conn, begun: begun})
		return
	}
	defer l.leave(c)
	if l.enter(c, http2Served) {
		l.serve(c)
	}
	_ = c.Close()
}

func (l *Listener) enter(c *Conn, s state) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.conns[c] = s
	return true
}

func (l *Listener) leave(c *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
}

func (l *Listener) handOut(c net.Conn) {
	select {
	case l.others <- c:
	case <-l.closing:
		_ = c.Close()
	}
}

// serve bears what goes wrong on one connection, as net/http does.
func (l *Listener) serve(c *Conn) {
	defer func() {
		if p := recover(); p != nil && l.srv.ErrorLog != nil {
			l.srv.ErrorLog.Printf("h2direct: panic serving %v: %v\n%s", c.RemoteAddr(), p, debug.Stack())
		}
	}()
	serveConn(context.Background(), l.h2, l.srv, l.srv.Handler, c, c)
}

// sniff reads until it is known whether a connection is HTTP/2. If not, it returns what it has read.
func (c *Conn) sniff() (isHTTP2 bool, begun []byte, err error) {
	const preface = http2.ClientPreface
	n := 0
	for n < len(preface) && string(c.in.buffer[:n]) == preface[:n] {
		m, err := c.Conn.Read(c.in.buffer[n:])
		if m == 0 && err != nil {
			return false, nil, err
		}
		n += m
	}
	if n < len(preface) || string(c.in.buffer[:len(preface)]) != preface {
		return false, append([]byte(nil), c.in.buffer[:n]...), nil
	}
	return true, nil, c.receive(n)
}

// OtherConn is a connection that is not HTTP/2, of which something has been read.
type OtherConn struct {
	net.Conn
	begun []byte
}

// Rest returns the connection itself once what had been read of it has been read again, else c.
func (c *OtherConn) Rest() net.Conn {
	if len(c.begun) > 0 {
		return c
	}
	return c.Conn
}

func (c *OtherConn) Read(p []byte) (int, error) {
	if len(c.begun) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.begun)
	if c.begun = c.begun[n:]; len(c.begun) == 0 {
		c.begun = nil
	}
	return n, nil
}

// CloseWrite is what net/http calls for a client to see an answer before the connection is reset.
func (c *OtherConn) CloseWrite() error { return closeWrite(c.Conn) }
