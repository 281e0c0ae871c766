package h2direct_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"golang.org/x/net/http2"

	"paystream/server/h2direct"
)

const window = 65535

var ok = headers(1, false, ":status", "200")

// A server tries again with the rest where its deadline cut a write short.
func TestServerWriteCutShort(t *testing.T) {
	h := newHarness(t, patience)
	s := h.stream(t.Context(), 1)
	h.wire.taken = []int{len(ok) + 5, 1, 3000}
	if err := finish(t, "the write", h.serve(append(bytes.Clone(ok), data(3, false, 5000)...))); err != nil {
		t.Fatal(err)
	}
	if err := s.Write(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	got := kinds(t, h.wire.written(t, 0))
	if len(got) != 3 || got[1].Length != 5000 || got[2].Length != 10 {
		t.Fatalf("got %v", got)
	}
}

// A frame in two writes of the server has no other frame in it, wherever it is cut.
func TestServerFramesStayWhole(t *testing.T) {
	all := bytes.Join([][]byte{
		ok, data(3, false, 40),
		frames(func(f *http2.Framer) {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 5, BlockFragment: []byte{0x88}})
			_ = f.WriteContinuation(5, true, make([]byte, 7))
			_ = f.WritePing(false, [8]byte{1})
		}),
	}, nil)
	for cut := range all {
		h := newHarness(t, 0)
		s := h.stream(t.Context(), 1)
		if err := finish(t, "the write", h.serve(all[:cut])); err != nil {
			t.Fatal(err)
		}
		direct := started(func() error { return s.Write(make([]byte, 10)) })
		if err := finish(t, "the write", h.serve(all[cut:])); err != nil {
			t.Fatal(err)
		}
		if err := finish(t, "the direct write", direct); err != nil {
			t.Fatal(err)
		}
		got, block := kinds(t, h.wire.written(t, len(all)+19)), false
		if len(got) != 6 {
			t.Fatalf("cut at %d: got %v", cut, got)
		}
		for i, f := range got {
			if direct := f.Type == http2.FrameData && f.StreamID == 1; direct && (i == 0 || block) {
				t.Fatalf("cut at %d: got %v", cut, got)
			}
			block = f.Type == http2.FrameHeaders && f.StreamID == 5
		}
	}
}

// What stands before a frame that waits is written: a client may want a whole frame to give more.
func TestServerFrameWaits(t *testing.T) {
	for _, test := range []struct {
		name string
		give []byte
	}{
		{"connection", update(0, 20000)},
		{"stream of another", append(update(0, 20000), update(1, 20000)...)},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHarness(t, 0)
			h.stream(t.Context(), 1)
			first := append(bytes.Clone(ok), data(3, false, window)...)
			done := h.serve(append(bytes.Clone(first), data(3, true, 3000)...))
			if got := kinds(t, h.wire.written(t, len(first))); len(got) != 2 {
				t.Fatalf("got %v", got)
			}
			h.feed(test.give)
			if err := finish(t, "the write", done); err != nil {
				t.Fatal(err)
			}
			h.wire.written(t, 3000)
		})
	}
}

// What the server ends a stream with waits for the stream's window, and for nothing that its
// acknowledgement of SETTINGS would bring.
func TestServerEndWaitsForStream(t *testing.T) {
	for _, test := range []struct {
		name string
		give []byte
	}{
		{"update", update(1, 2000)},
		{"settings", setting(http2.SettingInitialWindowSize, 3000)},
		{"reset", frames(func(f *http2.Framer) { _ = f.WriteRSTStream(1, http2.ErrCodeCancel) })},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHarness(t, 0)
			h.feed(setting(http2.SettingInitialWindowSize, 1000))
			if err := finish(t, "the write", h.serve(settingsAck())); err != nil {
				t.Fatal(err)
			}
			h.wire.written(t, 0)
			s, other := h.stream(t.Context(), 1), h.stream(t.Context(), 3)
			if err := finish(t, "headers", h.serve(append(bytes.Clone(ok), headers(3, false, ":status", "200")...))); err != nil {
				t.Fatal(err)
			}
			if err := s.Write(make([]byte, 875)); err != nil {
				t.Fatal(err)
			}
			h.wire.written(t, 0)
			ping := frames(func(f *http2.Framer) { _ = f.WritePing(true, [8]byte{}) })
			done := h.serve(append(bytes.Clone(ping), data(1, true, 1000)...))
			first := kinds(t, h.wire.written(t, len(ping)+9+125)) // as much of it as the client takes
			if len(first) != 2 || first[1].Length != 125 || first[1].Flags.Has(http2.FlagDataEndStream) {
				t.Fatalf("got %v", first)
			}
			if err := other.Write(make([]byte, 100)); err != nil { // goes on
				t.Fatal(err)
			}
			if got := kinds(t, h.wire.written(t, 0)); len(got) != 1 || got[0].StreamID != 3 {
				t.Fatalf("got %v", got)
			}
			h.feed(test.give)
			if err := finish(t, "the write", done); err != nil {
				t.Fatal(err)
			}
			rest := kinds(t, h.wire.written(t, 9+875))
			if len(rest) != 1 || rest[0].Length != 875 || !rest[0].Flags.Has(http2.FlagDataEndStream) {
				t.Fatalf("got %v", rest)
			}
			if err := s.Write(make([]byte, 1)); err == nil {
				t.Fatal("written behind the end")
			}
		})
	}
}

// Direct frames come behind the headers proper, not behind those of 100 Continue.
func TestDirectWaitsForHeaders(t *testing.T) {
	resized := frames(func(f *http2.Framer) {
		block := []byte{0x3f, 0xe1, 0x1f, 0x20, 0x88} // two changes of the table's size, and 200
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block, EndHeaders: true})
	})
	for _, final := range [][]byte{ok, resized} {
		h := newHarness(t, 0)
		s := h.stream(t.Context(), 1)
		done := started(func() error { return s.Write(make([]byte, 10)) })
		for _, b := range [][]byte{headers(1, false, ":status", "100"), data(3, false, window-5), final} {
			if err := finish(t, "the write", h.serve(b)); err != nil {
				t.Fatal(err)
			}
		}
		h.feed(update(0, window))
		if err := finish(t, "the direct write", done); err != nil {
			t.Fatal(err)
		}
		got := kinds(t, h.wire.written(t, 0))
		if len(got) != 4 || got[3].Type != http2.FrameData || got[3].StreamID != 1 {
			t.Fatalf("got %v", got)
		}
	}
}

// A client may hold the server to the old settings until it has the acknowledgement, and to the new after.
func TestSettingsCountWhenAcknowledged(t *testing.T) {
	h := newHarness(t, 0)
	h.feed(setting(http2.SettingInitialWindowSize, 10))
	if err := finish(t, "the write", h.serve(settingsAck())); err != nil {
		t.Fatal(err)
	}
	h.wire.written(t, 0)
	s := h.stream(t.Context(), 1)
	if err := finish(t, "headers", h.serve(ok)); err != nil {
		t.Fatal(err)
	}
	done := started(func() error { return s.Write(make([]byte, 17000)) })
	direct := len(ok) + 9 + 9 // a reserve of one is left
	h.wire.written(t, direct)
	h.feed(setting(http2.SettingMaxFrameSize, 1<<20), setting(http2.SettingInitialWindowSize, 30000))
	ack := settingsAck()
	if err := finish(t, "the write", h.serve(ack)); err != nil {
		t.Fatal(err)
	}
	if err := finish(t, "the direct write", done); err != nil {
		t.Fatal(err)
	}
	got := kinds(t, h.wire.written(t, 0))
	if len(got) != 2 || got[0].Type != http2.FrameSettings || got[1].Length != 17000-9 {
		t.Fatalf("got %v", got)
	}
	h.feed(setting(http2.SettingMaxFrameSize, 16384), setting(http2.SettingInitialWindowSize, 100), update(1, 17000))
	if err := finish(t, "the write", h.serve(ack)); err != nil {
		t.Fatal(err)
	}
	h.wire.written(t, 0)
	ctx, cancel := context.WithCancel(t.Context())
	s = h.stream(ctx, 3)
	if err := finish(t, "headers", h.serve(headers(3, false, ":status", "200"))); err != nil {
		t.Fatal(err)
	}
	done = started(func() error { return s.Write(make([]byte, 1000)) })
	h.wire.written(t, 9+88)
	cancel()
	if err := finish(t, "the direct write", done); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
}

// The server may not be told of more than a window holds, however much direct frames use.
func TestServerViewDoesNotOverflow(t *testing.T) {
	h := newHarness(t, 0)
	s := h.stream(t.Context(), 1)
	if err := finish(t, "headers", h.serve(ok)); err != nil {
		t.Fatal(err)
	}
	h.wire.discard = true
	const step = 1 << 20
	told := map[uint32]int64{0: window, 1: window}
	b := make([]byte, step)
	grant := append(update(0, step), update(1, step)...)
	for i := range 2200 << 20 / step {
		f := http2.NewFramer(nil, bytes.NewReader(h.feed(grant)))
		for {
			frame, err := f.ReadFrame()
			if errors.Is(err, io.EOF) {
				break
			}
			u := frame.(*http2.WindowUpdateFrame)
			if told[u.StreamID] += int64(u.Increment); told[u.StreamID] > 1<<31-1 {
				t.Fatalf("step %d: the window of %d is %d", i, u.StreamID, told[u.StreamID])
			}
		}
		if err := s.Write(b); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWindowOverflow(t *testing.T) {
	for _, id := range []uint32{0, 1} {
		h := newHarness(t, 0)
		h.stream(t.Context(), 1)
		h.feed(update(id, 1<<31-1-window))
		h.wire.in.Write(update(id, 1))
		if _, err := io.ReadAll(h.conn); err == nil {
			t.Errorf("the window of stream %d holds more than may be", id)
		}
	}
}

func TestNoStream(t *testing.T) {
	h := newHarness(t, 0)
	h.feed(headers(1, true, ":method", "GET"))
	w := lookalike(1)
	ctx := h2direct.Context(t.Context(), h.conn)
	if h2direct.StreamOf(t.Context(), w) != nil {
		t.Error("a stream without a connection")
	}
	if h2direct.StreamOf(ctx, lookalike(3)) != nil {
		t.Error("a stream that nobody opened")
	}
	if w.rws.status = 404; h2direct.StreamOf(ctx, w) != nil {
		t.Error("a stream of another status")
	}
}
