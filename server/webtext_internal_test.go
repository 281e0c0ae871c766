package server

import (
	"bytes"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/iotest"

	"connectrpc.com/connect"
)

// FuzzTextReader gives a text to the reader in pieces of every size, and expects what decoding each
// group of four by itself gives, or an error meant for clients.
func FuzzTextReader(f *testing.F) {
	f.Add([]byte("AAAAAAA="), uint8(1))
	f.Add([]byte("AA==AAA=AAAA\r\nAA==\n"), uint8(3))
	f.Add([]byte("AAAAA"), uint8(5))
	f.Add([]byte("AA=A"), uint8(4))
	f.Add([]byte("-_-_"), uint8(2))
	f.Add(bytes.Repeat([]byte("QUJD"), 400), uint8(255))
	f.Fuzz(func(t *testing.T, text []byte, piece uint8) {
		var want []byte
		good := true
		clean := bytes.ReplaceAll(bytes.ReplaceAll(text, []byte("\r"), nil), []byte("\n"), nil)
		for len(clean) > 0 && good {
			group := clean[:min(4, len(clean))]
			plain, err := base64.StdEncoding.DecodeString(string(group))
			want, clean, good = append(want, plain...), clean[len(group):], err == nil && len(group) == 4
		}
		body := &pieces{text, int(piece) + 1}
		got, err := io.ReadAll(iotest.OneByteReader(&textReader{body: io.NopCloser(body)}))
		switch {
		case good && (err != nil || !bytes.Equal(got, want)):
			t.Errorf("%q is %q, %v, want %q", text, got, err, want)
		case !good && connect.CodeOf(err) != connect.CodeInvalidArgument:
			t.Errorf("%q is %q, %v, want an invalid argument", text, got, err)
		}
	})
}

// pieces is a reader that gives n bytes at a time, and the end with the last.
type pieces struct {
	text []byte
	n    int
}

func (p *pieces) Read(b []byte) (int, error) {
	n := copy(b, p.text[:min(p.n, len(p.text))])
	p.text = p.text[n:]
	if len(p.text) == 0 {
		return n, io.EOF
	}
	return n, nil
}

// FuzzTextWriter writes in pieces, and expects that what was flushed can be decoded without what
// comes later.
func FuzzTextWriter(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00\x02\x08\x01"), uint8(5), uint8(1))
	f.Add(bytes.Repeat([]byte("x"), 3*textChunk+1), uint8(255), uint8(3))
	f.Add([]byte{}, uint8(0), uint8(0))
	f.Fuzz(func(t *testing.T, plain []byte, piece, flush uint8) {
		out := httptest.NewRecorder()
		w := &textWriter{ResponseWriter: out, media: "application/grpc-web-text+proto"}
		w.Header().Set("Content-Type", "application/grpc-web+proto")
		unflushed := plain[:0]
		check := func() {
			w.Flush()
			if got := decodeText(t, out.Body.Bytes()); !bytes.Equal(got, unflushed) {
				t.Fatalf("wrote %q, decoded %q", unflushed, got)
			}
			out.Body.Reset()
			unflushed = plain[:0]
		}
		for rest := plain; len(rest) > 0; {
			n := min(len(rest), int(piece)+1)
			if written, err := w.Write(rest[:n]); written != n || err != nil {
				t.Fatal(written, err)
			}
			unflushed = rest[:n:n]
			rest = rest[n:]
			for range flush % 4 {
				if n := min(len(rest), int(flush)+1); n > 0 {
					_, _ = w.Write(rest[:n]) // into a buffer
					unflushed, rest = append(unflushed, rest[:n]...), rest[n:]
				}
			}
			check()
		}
		check()
		if got := out.Header().Get("Content-Type"); got != "application/grpc-web-text+proto" {
			t.Errorf("content type %q", got)
		}
	})
}

// decodeText decodes as Google's client does: the groups of four there are.
func decodeText(t *testing.T, text []byte) (plain []byte) {
	t.Helper()
	for ; len(text) >= 4; text = text[4:] {
		var err error
		if plain, err = base64.StdEncoding.AppendDecode(plain, text[:4]); err != nil {
			t.Fatalf("decode %q: %v", text[:4], err)
		}
	}
	if len(text) > 0 {
		t.Fatalf("%q is left over", text)
	}
	return plain
}

func TestWebTextLeavesOtherBodiesAlone(t *testing.T) {
	t.Parallel()
	for _, contentType := range []string{
		"application/grpc-web", "application/grpc-web+proto", "application/grpc-web-texts", "application/grpc-web-text/x",
		"application/grpc-web-text-proto", "application/json", "", "application/grpc-web-text; =",
	} {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.Header.Set("Content-Type", contentType)
		out := httptest.NewRecorder()
		withWebText(http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
			if w != http.ResponseWriter(out) || in != r {
				t.Errorf("%q is taken for text", contentType)
			}
		})).ServeHTTP(out, r)
	}
}
