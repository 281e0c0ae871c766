package h2direct

import (
	"context"
	"crypto/tls"
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
// its TLSNextProto. The other connections come from a listener, behind which nothing is encrypted.
//
//nolint:staticcheck // deprecated in favour of net/http's own HTTP/2, which server/listen.go does not use
func ServeTLS(h2 *http2.Server, srv *http.Server, c *tls.Conn, handler http.Handler, timeout time.Duration) {
	ctx := context.Background()
	if h, ok := handler.(interface{ BaseContext() context.Context }); ok { // as x/net's own does
		ctx = h.BaseContext()
	}
	conn := NewConn(c, timeout)
	conn.begin() // the server writes before it has read
	h2.ServeConn(tlsConn{conn, c}, &http2.ServeConnOpts{
		Context: Context(ctx, conn), Handler: handler, BaseConfig: srv,
	})
}
