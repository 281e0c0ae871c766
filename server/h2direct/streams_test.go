package h2direct_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"testing"
	"time"
)

// Where this fails, the server in use is not as the package knows it, and nothing is written directly.
func TestStreamIsFound(t *testing.T) {
	schemes(t, func(t *testing.T, secure bool) {
		s := serve(t, secure, patience)
		c := dial(t, s.address, secure, window, window, 16384)
		c.whole(c.get("/stream?n=100&piece=100"), 100)
		if !<-s.direct {
			t.Error("HTTP/2: the stream is not found")
		}
		scheme, transport := "http", &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
		if secure {
			scheme = "https"
		}
		defer transport.CloseIdleConnections()
		r, err := (&http.Client{Transport: transport}).Get(scheme + "://" + s.address + "/stream")
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Body.Close()
		if r.ProtoMajor != 1 || <-s.direct {
			t.Errorf("a stream of %s", r.Proto)
		}
	})
}

func TestStreams(t *testing.T) {
	const mega = 1 << 20
	for _, test := range []struct {
		initial, conn int64
		frame         int
		streams, n    int
		piece, end    int
	}{
		{initial: 1, conn: window, frame: 16384, streams: 3, n: 700, piece: 100, end: 10},
		{initial: 0, conn: window, frame: 16384, streams: 0},
		{initial: 100, conn: window, frame: 16384, streams: 10, n: 20000, piece: 3000, end: 1000},
		{initial: 16384, conn: window, frame: 16384, streams: 10, n: mega, piece: 5000, end: 3000},
		{initial: window, conn: window, frame: 16384, streams: 1, n: 8 * mega, piece: 256 << 10, end: 20000},
		{initial: window, conn: window, frame: 16384, streams: 20, n: mega, piece: 16 << 10, end: 500},
		{initial: 16 * mega, conn: 16 * mega, frame: mega, streams: 4, n: 8 * mega, piece: 256 << 10, end: 100 << 10},
		{initial: 1<<31 - 1, conn: 1<<31 - 1, frame: 1<<24 - 1, streams: 4, n: 8 * mega, piece: 700 << 10, end: 100},
	} {
		t.Run(fmt.Sprintf("%d_of_%d_in_%d", test.streams, test.n, test.initial), func(t *testing.T) {
			schemes(t, func(t *testing.T, secure bool) {
				s := serve(t, secure, patience)
				c := dial(t, s.address, secure, test.initial, test.conn, test.frame)
				path := fmt.Sprintf("/stream?n=%d&piece=%d&end=%d", test.n, test.piece, test.end)
				var all []*clientStream
				for i := range test.streams {
					set := func(s *clientStream) { s.late = i%2 == 1 && test.initial > 1000 }
					all = append(all, c.get(path, set))
				}
				for _, stream := range all {
					c.whole(stream, test.n+test.end)
					if stream.trailers["grpc-status"] != "0" {
						t.Fatalf("trailers: %v", stream.trailers)
					}
				}
			})
		})
	}
}

// Answers through the ResponseWriter go on beside direct streams, of which some are not read.
func TestUnaryBesideStreams(t *testing.T) {
	for _, piece := range []int{100, 3000, 50000} { // of the answers
		schemes(t, func(t *testing.T, secure bool) {
			s := serve(t, secure, patience)
			c := dial(t, s.address, secure, window, 4*window, 16384)
			var stuck, reading []*clientStream
			for range 2 { // more would use up the connection's window, as they may
				stuck = append(stuck, c.get("/forever", stalled))
			}
			for range 4 {
				reading = append(reading, c.get("/forever"))
			}
			for range 3 {
				var answers []*clientStream
				for range 10 {
					answers = append(answers, c.get(fmt.Sprintf("/unary?n=200000&piece=%d", piece), late))
				}
				for _, a := range answers {
					c.whole(a, 200000)
				}
			}
			for _, stream := range reading {
				had := 0
				c.until("the stream goes on", func() bool {
					if had == 0 {
						had = stream.received
					}
					return stream.received > had
				})
			}
			for _, stream := range append(stuck, reading...) {
				c.cancel(stream)
			}
			for range len(stuck) + len(reading) {
				if err := finish(t, "a handler", s.ended); err == nil {
					t.Error("no error")
				}
			}
		})
	}
}

// Streams that are not read use the connection's window up; when their client gives them up, others go on.
func TestConnectionWindowUsedUp(t *testing.T) {
	s := serve(t, false, patience)
	c := dial(t, s.address, false, window, window, 16384)
	stuck := c.get("/forever", stalled)
	c.until("the reserve is reached", func() bool { return c.window == 16<<10 })
	answers := []*clientStream{c.get("/unary?n=300000&piece=3000", late), c.get("/unary?n=300000&piece=100000", late)}
	c.cancel(stuck)
	for _, a := range answers {
		c.whole(a, 300000)
	}
}

func TestSettingsInTheMiddle(t *testing.T) {
	schemes(t, func(t *testing.T, secure bool) {
		s := serve(t, secure, patience)
		c := dial(t, s.address, secure, window, 16*window, 16384)
		var all []*clientStream
		for range 8 {
			all = append(all, c.get("/forever"), c.get("/unary?n=30000000&piece=20000"))
		}
		c.until("the acknowledgement", func() bool { return len(c.unacked) == 0 })
		for i := range 200 {
			c.resize([]int64{100, 1000000, 0, 5000, window}[i%5])
			c.until("the acknowledgement", func() bool { return len(c.unacked) == 0 })
		}
		c.resize(window)
		for _, stream := range all {
			had := stream.received
			c.until("the stream goes on", func() bool { return stream.ended || stream.received > had+window })
			c.cancel(stream)
		}
	})
}

// A handler that waits for its client returns when the client, the connection or the server goes.
func TestHandlerReturns(t *testing.T) {
	for name, end := range map[string]func(*server, *client, *clientStream){
		"stream reset":      func(_ *server, c *client, s *clientStream) { c.cancel(s) },
		"connection closed": func(_ *server, c *client, _ *clientStream) { c.close() },
		"server closed": func(s *server, c *client, _ *clientStream) {
			c.mu.Lock()
			c.stopping = true
			c.mu.Unlock()
			over, cancel := context.WithCancel(context.Background())
			cancel()
			_ = s.closed(over)
			_ = s.srv.Close() // what net/http has
		},
	} {
		t.Run(name, func(t *testing.T) {
			schemes(t, func(t *testing.T, secure bool) {
				s := serve(t, secure, 0)
				c := dial(t, s.address, secure, 1000, window, 16384)
				stream := c.get("/forever", stalled)
				c.until("the reserve is reached", func() bool { return stream.received == 875 })
				end(s, c, stream)
				if err := finish(t, "the handler", s.ended); err == nil {
					t.Error("no error")
				}
			})
		})
	}
}

// A connection that lets the server send nothing is closed.
func TestTimeout(t *testing.T) {
	s := serve(t, false, 50*time.Millisecond)
	c := dial(t, s.address, false, window, window, 16384)
	c.mu.Lock()
	c.stopping = true
	c.mu.Unlock()
	// Were the other one first, it would take the whole window, and the server know that there is none.
	stream := c.get("/forever", stalled)
	c.until("the reserve is reached", func() bool { return stream.received == window-16<<10 })
	c.get("/unary?n=300000&piece=100000", stalled)
	finish(t, "the handler", s.ended)
	<-c.done
}
