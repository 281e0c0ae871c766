package h2direct

import (
	"net"
	"sync"
)

// Corked returns a listener in place of one whose connections will be encrypted. TLS writes a record of
// 16 KiB at a time, each with a call of the system's, which takes longer than the encryption; so that what
// is written together goes in one call, the connections can hold back what TLS writes.
func Corked(l net.Listener) net.Listener { return corkedListener{l} }

type corkedListener struct{ net.Listener }

func (l corkedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err //nolint:wrapcheck // net/http looks at it
	}
	return &corked{Conn: c}, nil
}

type corked struct {
	net.Conn

	mu   sync.Mutex
	held *[]byte // nil where nothing is to be held back
}

func (c *corked) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held == nil {
		return c.Conn.Write(p) //nolint:wrapcheck // TLS's to look at
	}
	*c.held = append(*c.held, p...)
	return len(p), nil
}

// cork has what is written held back in b.
func (c *corked) cork(b *[]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = b
}

// uncork writes what was held back.
func (c *corked) uncork() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := *c.held
	c.held = nil
	_, err := c.Conn.Write(b)
	return err //nolint:wrapcheck // as Write's
}
