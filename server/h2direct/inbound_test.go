package h2direct_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"golang.org/x/net/http2"

	"paystream/server/h2direct"
)

// clientFrames makes valid frames of what the fuzzer says.
func clientFrames(plan []byte) []byte {
	return frames(func(f *http2.Framer) {
		_ = f.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1 << 20})
		next := uint32(1)
		for i, b := range plan {
			id := uint32(b>>3)/2*2 + 1
			switch b % 8 {
			case 0:
				block := make([]byte, int(b)*3)
				_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: next, BlockFragment: block, EndHeaders: b < 128})
				if b >= 128 {
					_ = f.WriteContinuation(next, true, block[:i%256])
				}
				next += 2
			case 1:
				_ = f.WriteWindowUpdate(id, uint32(b)<<12|1)
			case 2:
				_ = f.WriteWindowUpdate(0, uint32(b)<<12|1)
			case 3:
				_ = f.WriteData(id, b >= 128, make([]byte, int(b)*5))
			case 4:
				_ = f.WritePing(b >= 128, [8]byte{b, 1, 2, 3, 4, 5, 6, 7})
			case 5:
				_ = f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(b) << 8},
					http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1<<14 + uint32(b)})
			case 6:
				_ = f.WriteRSTStream(id, http2.ErrCodeCancel)
			case 7:
				_ = f.WriteRawFrame(http2.FrameType(b), 0, id, plan[:i])
			}
		}
	})
}

// readInPieces returns what a server reads where the network brings sent cut after as many bytes as
// cuts say.
func readInPieces(sent, cuts []byte, size int) ([]byte, error) {
	w := newWire()
	c := h2direct.NewConn(w, 0)
	defer c.Close()
	var read []byte
	p := make([]byte, 1+size)
	for i := 0; len(sent) > 0; i++ {
		n := len(sent)
		if len(cuts) > 0 {
			n = min(n, 1+int(cuts[i%len(cuts)]))
		}
		w.in.Write(sent[:n])
		sent = sent[n:]
		for {
			n, err := c.Read(p)
			read = append(read, p[:n]...)
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				break // until more comes
			}
			if err != nil {
				return read, err
			}
		}
	}
	return read, nil
}

func rawFrames(b []byte) (all [][]byte) {
	for len(b) >= 9 {
		n := 9 + int(b[0])<<16 + int(b[1])<<8 + int(b[2])
		if n > len(b) {
			break
		}
		all, b = append(all, b[:n]), b[n:]
	}
	if len(b) > 0 {
		all = append(all, b)
	}
	return all
}

func increment(frame []byte) int64 {
	return int64(frame[9])<<24 | int64(frame[10])<<16 | int64(frame[11])<<8 | int64(frame[12])
}

// FuzzRead: the server reads the client's frames, of which only WINDOW_UPDATEs may be smaller or gone.
func FuzzRead(f *testing.F) {
	f.Add([]byte{0, 8, 1, 9, 2, 10, 3, 4, 5, 6, 7, 250, 251, 252, 253}, []byte{0})
	f.Add([]byte{248, 249, 0, 0, 17, 16, 129, 22, 13}, []byte{3, 255, 8, 0})
	f.Add(bytes.Repeat([]byte{0, 249, 250}, 300), []byte{12})
	f.Fuzz(func(t *testing.T, plan, cuts []byte) {
		sent := clientFrames(plan)
		read, err := readInPieces(append([]byte(http2.ClientPreface), sent...), cuts, len(plan))
		got, whole := bytes.CutPrefix(read, []byte(http2.ClientPreface))
		if !whole {
			t.Fatalf("the preface has become %q", read)
		}
		left := rawFrames(got)
		for _, want := range rawFrames(sent) {
			update := want[3] == byte(http2.FrameWindowUpdate)
			switch {
			case len(left) > 0 && bytes.Equal(left[0], want):
			case update && len(left) > 0 && bytes.Equal(left[0][:9], want[:9]) && increment(left[0]) < increment(want):
			case update, len(left) == 0 && err != nil:
				continue
			default:
				t.Fatalf("%x is missing or not the same (%v)", want, err)
			}
			left = left[1:]
		}
		if len(left) > 0 {
			t.Fatalf("more than was sent: %x", left)
		}
	})
}

// FuzzReadAnything: whatever comes, HTTP/1.1 loses nothing, and HTTP/2 does not panic.
func FuzzReadAnything(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), []byte{0})
	f.Add([]byte("PRI * HTTP/1.1\r\n\r\n"), []byte{2, 5})
	f.Add([]byte(http2.ClientPreface[:20]+"and more"), []byte{})
	f.Add([]byte(http2.ClientPreface+"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x7f\xff\xff\xff"), []byte{30})
	f.Add([]byte(http2.ClientPreface+"\xff\xff\xff\x04\x00\x00\x00\x00\x00"), []byte{30})
	f.Fuzz(func(t *testing.T, sent, cuts []byte) {
		read, err := readInPieces(sent, cuts, len(cuts))
		if bytes.HasPrefix(sent, []byte(http2.ClientPreface)) {
			return
		}
		if err != nil || !bytes.Equal(read, sent) {
			t.Fatalf("read %q: %v", read, err)
		}
	})
}
