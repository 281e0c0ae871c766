package h2direct_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"paystream/server/h2direct"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long anything may take.
const patience = 30 * time.Second

// wire is a network that does at once what it is told.
type wire struct {
	net.Conn // nil: nothing else is called

	in      bytes.Buffer // what the client has sent
	chunk   int          // how much of it comes at a time; 0 is all
	discard bool

	mu     sync.Mutex
	change sync.Cond
	out    []byte
	taken  []int // of each write, after which it is cut off by its deadline
	closed bool
}

func newWire() *wire {
	w := &wire{}
	w.change.L = &w.mu
	return w
}

func (w *wire) Read(p []byte) (int, error) {
	if w.chunk > 0 && w.chunk < len(p) {
		p = p[:w.chunk]
	}
	return w.in.Read(p)
}

func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return 0, net.ErrClosed
	}
	if w.discard {
		return len(p), nil
	}
	defer w.change.Broadcast()
	if len(w.taken) > 0 {
		n := w.taken[0]
		w.taken = w.taken[1:]
		if n < len(p) {
			w.out = append(w.out, p[:n]...)
			return n, os.ErrDeadlineExceeded
		}
	}
	w.out = append(w.out, p...)
	return len(p), nil
}

func (w *wire) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.change.Broadcast()
	return nil
}

func (*wire) SetWriteDeadline(time.Time) error { return nil }

// written waits for n bytes and takes all that have been written.
func (w *wire) written(t *testing.T, n int) []byte {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	defer time.AfterFunc(patience, w.change.Broadcast).Stop()
	for end := time.Now().Add(patience); len(w.out) < n; w.change.Wait() {
		if !time.Now().Before(end) || w.closed {
			t.Fatalf("%d bytes have been written, want %d", len(w.out), n)
		}
	}
	out := w.out
	w.out = nil
	return out
}

// harness is a connection whose client and server are the test.
type harness struct {
	t    *testing.T
	wire *wire
	conn *h2direct.Conn
}

func newHarness(t *testing.T, timeout time.Duration) *harness {
	w := newWire()
	h := &harness{t, w, h2direct.NewConn(w, timeout)}
	t.Cleanup(func() { _ = h.conn.Close() })
	h.feed([]byte(http2.ClientPreface), frames(func(f *http2.Framer) { _ = f.WriteSettings() }))
	return h
}

// feed is what the client sends; it returns what the server reads of it.
func (h *harness) feed(sent ...[]byte) []byte {
	h.t.Helper()
	h.wire.in.Write(bytes.Join(sent, nil))
	read, err := io.ReadAll(h.conn)
	if err != nil {
		h.t.Fatal(err)
	}
	return read
}

// serve is what the server writes; the channel tells when it has done so.
func (h *harness) serve(b []byte) <-chan error {
	return started(func() error { _, err := h.conn.Write(b); return err })
}

// stream opens one, on which the server has answered status.
func (h *harness) stream(ctx context.Context, id uint32) *h2direct.Stream {
	h.t.Helper()
	h.feed(headers(id, false, ":method", "GET"))
	ctx = h2direct.Context(ctx, h.conn)
	s := h2direct.StreamOf(ctx, lookalike(id))
	if s == nil {
		h.t.Fatal("there is no stream")
	}
	return s
}

func started(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return done
}

func finish(t *testing.T, what string, done <-chan error) error {
	t.Helper()
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		t.Fatalf("%s does not end", what)
		return nil
	}
}

// writer looks like that of x/net.
type writer struct {
	http.ResponseWriter

	rws *state
}

type (
	state struct {
		status int
		stream *stream
	}
	stream struct{ id uint32 }
)

func lookalike(id uint32) *writer {
	return &writer{rws: &state{status: http.StatusOK, stream: &stream{id}}}
}

func frames(write func(*http2.Framer)) []byte {
	var b bytes.Buffer
	f := http2.NewFramer(&b, nil)
	f.AllowIllegalWrites = true
	write(f)
	return b.Bytes()
}

func headers(id uint32, end bool, fields ...string) []byte {
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for i := 0; i < len(fields); i += 2 {
		_ = enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return frames(func(f *http2.Framer) {
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: end})
	})
}

func data(id uint32, end bool, n int) []byte {
	return frames(func(f *http2.Framer) { _ = f.WriteData(id, end, make([]byte, n)) })
}

func update(id, n uint32) []byte {
	return frames(func(f *http2.Framer) { _ = f.WriteWindowUpdate(id, n) })
}

func setting(id http2.SettingID, value uint32) []byte {
	return frames(func(f *http2.Framer) { _ = f.WriteSettings(http2.Setting{ID: id, Val: value}) })
}

func settingsAck() []byte { return frames(func(f *http2.Framer) { _ = f.WriteSettingsAck() }) }

// kinds says of each frame what it is, on which stream, and how long.
func kinds(t *testing.T, b []byte) []http2.FrameHeader {
	t.Helper()
	var all []http2.FrameHeader
	f := http2.NewFramer(nil, bytes.NewReader(b))
	f.AllowIllegalReads = true
	f.SetMaxReadFrameSize(1<<24 - 1)
	for {
		frame, err := f.ReadFrame()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("behind %v: %v", all, err)
		}
		all = append(all, frame.Header())
	}
}
