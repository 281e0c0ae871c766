package h2direct_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"paystream/server/h2direct"
)

// listening serves what says over which protocol it was asked.
func listening(t *testing.T, headers time.Duration) (address string, l *h2direct.Listener, srv *http.Server) {
	t.Helper()
	srv = &http.Server{ReadHeaderTimeout: headers, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto)
		if r.URL.Path == "/wait" {
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}
	})}
	h2 := &http2.Server{}                                  //nolint:staticcheck // what server/listen.go uses
	if err := http2.ConfigureServer(srv, h2); err != nil { //nolint:staticcheck // the same
		t.Fatal(err)
	}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l = h2direct.NewListener(inner, h2, srv, 0)
	done := started(func() error { return srv.Serve(l) })
	t.Cleanup(func() {
		_ = srv.Close()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = l.Wait(ctx)
		<-done
	})
	return inner.Addr().String(), l, srv
}

func connect(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

func TestListenerTellsProtocolsApart(t *testing.T) {
	const request = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	tests := []struct {
		name   string
		pieces []string
		want   string
	}{
		{"HTTP/1.1", []string{request}, "HTTP/1.1 200"},
		{"HTTP/1.1 a byte at a time", strings.Split(request, ""), "HTTP/1.1 200"},
		{"a method that begins as the preface does", []string{"P", "RI / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"}, "HTTP/1.1 200"},
		{"nearly the preface", []string{http2.ClientPreface[:20], "XX\r\n\r\n"}, "HTTP/1.1 "},
		{"HTTP/2", []string{http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00"}, "\x00\x00"},
		{"HTTP/2 a byte at a time", strings.Split(http2.ClientPreface+"\x00\x00\x00\x04\x00\x00\x00\x00\x00", ""), "\x00\x00"},
		{"nothing", nil, ""},
		{"something, and no more", []string{http2.ClientPreface[:5]}, ""},
	}
	address, _, _ := listening(t, 300*time.Millisecond)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := connect(t, address)
			for _, piece := range test.pieces {
				if _, err := io.WriteString(c, piece); err != nil {
					t.Fatal(err)
				}
			}
			got := make([]byte, len(test.want))
			if _, err := io.ReadFull(c, got); err != nil || string(got) != test.want {
				t.Fatalf("got %q, %v", got, err)
			}
			if test.want == "" {
				if n, err := c.Read(make([]byte, 1)); n > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("the connection stays open: %v", err)
				}
			}
		})
	}
}

// TestListenerWait begins with a connection of each kind: nobody knows yet which, waiting on HTTP/2.
func TestListenerWait(t *testing.T) {
	address, l, srv := listening(t, time.Minute)
	unknown := connect(t, address)
	if _, err := io.WriteString(unknown, "PRI"); err != nil {
		t.Fatal(err)
	}
	protocols := &http.Protocols{}
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Transport{Protocols: protocols}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/wait", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if proto, err := bufio.NewReader(res.Body).Peek(8); string(proto) != "HTTP/2.0" {
		t.Fatalf("got %q, %v", proto, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := errors.Join(srv.Shutdown(ctx), l.Wait(ctx)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting ends with %v", err)
	}
	for name, r := range map[string]io.Reader{"of unknown kind": unknown, "on HTTP/2": res.Body} {
		if _, err := io.Copy(io.Discard, r); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the connection %s stays open", name)
		}
	}
	if c, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accepted %v, %v", c, err)
	}
	if err := l.Wait(t.Context()); err != nil {
		t.Errorf("waiting for nothing: %v", err)
	}
}
