package h2direct

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/http2"
)

// tlsConn tells the server about TLS, too.
type tlsConn struct {
	*Conn
	tls *tls.Conn
}

func (c tlsConn) ConnectionState() tls.ConnectionState { return c.tls.ConnectionState() }

// ServeTLS serves a connection on which HTTP/2 was agreed, until it ends. An [http.Server] does it with
// its TLSNextProto.
//
//nolint:staticcheck // deprecated in favour of net/http's own HTTP/2, which server/listen.go does not use
func ServeTLS(h2 *http2.Server, srv *http.Server, c *tls.Conn, handler http.Handler, timeout time.Duration) {
	ctx := context.Background()
	if h, ok := handler.(interface{ BaseContext() context.Context }); ok { // as x/net's own does
		ctx = h.BaseContext()
	}
	conn := NewConn(c, timeout)
	conn.cork, _ = c.NetConn().(*corked)
	conn.begin() // the server writes before it has read
	serveConn(ctx, h2, srv, handler, tlsConn{conn, c}, conn)
}

// serveConn serves a connection, which is conn, until it ends.
//
//nolint:staticcheck // deprecated in favour of net/http's own HTTP/2, which server/listen.go does not use
func serveConn(ctx context.Context, h2 *http2.Server, srv *http.Server, handler http.Handler, c net.Conn, conn *Conn) {
	h2.ServeConn(c, &http2.ServeConnOpts{Context: Context(ctx, conn), Handler: handler, BaseConfig: srv})
}

type connKey struct{}

// Context returns a context in which handlers find the connection.
func Context(ctx context.Context, c *Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}
