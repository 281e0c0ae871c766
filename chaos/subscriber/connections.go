package subscriber

import (
	"context"
	"net"
	"net/http"
	"sync"

	"paystream/internal/clienttest"
)

// changes make a transport whose connections can be closed, and which a slow subscriber fills soon.
func (s *Subscriber) changes(conns *connections) []clienttest.Change {
	var all []clienttest.Change
	if s.Habit == Slow {
		all = append(all, clienttest.SmallBuffers)
	}
	return append(all, func(t *http.Transport) {
		dial := t.DialContext
		if dial == nil {
			dial = (&net.Dialer{Timeout: silence}).DialContext
		}
		t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dial(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return conns.add(conn)
		}
	})
}

// connections are those of one stream.
type connections struct {
	mu     sync.Mutex
	closed bool
	open   []net.Conn
}

func (c *connections) add(conn net.Conn) (net.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		_ = conn.Close()
		return nil, net.ErrClosed
	}
	c.open = append(c.open, conn)
	return conn, nil
}

func (c *connections) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, conn := range c.open {
		_ = conn.Close()
	}
}
