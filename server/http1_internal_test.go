package server

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"net/http/httputil"
	"testing"
)

// connected returns both ends of a connection: of TCP, which takes several slices at once, or of one that
// does not.
func connected(t *testing.T, tcp bool) (net.Conn, net.Conn) {
	t.Helper()
	if !tcp {
		return net.Pipe()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return server, client
}

func TestChunks(t *testing.T) {
	sizes := []int{1, 15, 16, 255, fewBytes, fewBytes + 1, chunkAtOnce, 1 << 20}
	for name, tcp := range map[string]bool{"TCP": true, "another connection": false} {
		t.Run(name, func(t *testing.T) {
			server, client := connected(t, tcp)
			defer client.Close()
			c := &chunkedConn{conn: server, gone: make(chan struct{})}
			r := rand.New(rand.NewPCG(1, 2))
			var want []byte
			var writes [][]byte
			for i := range 300 {
				b := bytes.Repeat([]byte{byte(i)}, sizes[r.IntN(len(sizes))])
				want, writes = append(want, b...), append(writes, b)
			}
			ended := make(chan error, 1)
			go func() {
				defer server.Close()
				for i, b := range writes {
					if n, err := c.Write(b); err != nil || n != len(b) {
						ended <- err
						return
					}
					if i%3 == 0 {
						c.Flush()
					}
				}
				close(c.gone)
				c.end()
				ended <- nil
			}()
			got, err := io.ReadAll(httputil.NewChunkedReader(client))
			if e := <-ended; err != nil || e != nil {
				t.Fatal(err, e)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%d bytes, want %d, or others", len(got), len(want))
			}
			if c.held != nil {
				t.Error("something is held back")
			}
		})
	}
}
