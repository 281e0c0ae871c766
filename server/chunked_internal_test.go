package server

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"testing"
	"time"
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

// TestNothingFollowsWhatWasNotWritten: not behind a small write that is held until it is flushed, and not
// behind a large one, of which a part has been sent.
func TestNothingFollowsWhatWasNotWritten(t *testing.T) {
	for name, size := range map[string]int{"small": 10, "large": 16 << 20} {
		t.Run(name, func(t *testing.T) {
			server, client := connected(t, true)
			defer client.Close()
			c := &chunkedConn{conn: server, gone: make(chan struct{})}
			close(c.gone)
			w := &switchWriter{c}
			d := (&Server{stalls: newStalls(0)}).newDirectWriter(w, nil)
			if size == 10 {
				_ = server.SetWriteDeadline(time.Unix(1, 0))
			} else {
				_ = server.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
			}
			if err := d.message(make([]byte, size)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the write ends with %v", err)
			}
			sent := make(chan int64, 1)
			go func() {
				n, _ := io.Copy(io.Discard, client)
				sent <- n
			}()
			_ = server.SetWriteDeadline(time.Now().Add(10 * time.Second))
			for _, size := range []int{5, 5000} {
				if err := d.message(make([]byte, size)); err == nil {
					t.Errorf("%d bytes are written behind what was not", size)
				}
			}
			w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
			c.end()
			_ = server.Close()
			if n := <-sent; n >= int64(size) {
				t.Errorf("%d bytes have been sent", n)
			}
		})
	}
}
