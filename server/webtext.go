package server

import (
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
)

// gRPC-Web's text variant is the binary one in base64, both ways, for clients that read a stream as a
// text that grows: Google's own is one of them. connect does not speak it.
const (
	mediaWeb     = "application/grpc-web"
	mediaWebText = "application/grpc-web-text"
)

// withWebText lets a handler of gRPC-Web serve the text variant too. What the handler flushes is padded,
// so that the client can decode it at once; padding may therefore stand anywhere in a body.
func withWebText(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		codec, ok := webTextCodec(r.Header.Get("Content-Type"))
		if !ok {
			h.ServeHTTP(w, r)
			return
		}
		serveWebText(h, w, r, codec)
	})
}

func serveWebText(h http.Handler, w http.ResponseWriter, r *http.Request, codec string) {
	in := r.Clone(r.Context())
	in.Header.Set("Content-Type", mediaWeb+codec)
	in.Header.Del("Content-Length") // it was the text's
	in.ContentLength = -1
	in.Body = &textReader{body: r.Body}
	out := &textWriter{ResponseWriter: w, media: mediaWebText + codec}
	callOf(r.Context()).w = out
	h.ServeHTTP(out, in)
	_ = out.encode() // what was not flushed; fails only with the connection
}

// webTextCodec returns what follows the text variant's name in a media type, such as "+proto".
func webTextCodec(contentType string) (codec string, ok bool) {
	media, _, err := mime.ParseMediaType(contentType) // some browsers add a charset
	if err != nil {
		return "", false
	}
	codec, ok = strings.CutPrefix(media, mediaWebText)
	return codec, ok && (codec == "" || codec[0] == '+')
}

// textReader decodes a request's body: groups of four characters, any of which may be padded. Line
// breaks are passed over.
type textReader struct {
	body  io.ReadCloser
	text  [512]byte
	plain [512]byte // decoded
	ready []byte    // what of plain has not been read
	group [4]byte
	have  int // characters in group
	err   error
}

func (r *textReader) Read(p []byte) (int, error) {
	for len(r.ready) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		r.fill()
	}
	n := copy(p, r.ready)
	r.ready = r.ready[n:]
	return n, nil
}

func (r *textReader) Close() error { return r.body.Close() }

// fill reads once and decodes what is complete. Its errors are connect's, which reach the client.
func (r *textReader) fill() {
	n, err := r.body.Read(r.text[:])
	plain := r.plain[:0]
	for _, c := range r.text[:n] {
		if c == '\r' || c == '\n' {
			continue
		}
		r.group[r.have] = c
		if r.have++; r.have < len(r.group) {
			continue
		}
		r.have = 0
		var e error
		if plain, e = base64.StdEncoding.AppendDecode(plain, r.group[:]); e != nil {
			r.err = invalid("the request is not base64, which its content type says it is")
			return
		}
	}
	if errors.Is(err, io.EOF) && r.have > 0 {
		err = invalid("the request ends within a group of four base64 characters: its end is missing, or padding")
	}
	r.ready, r.err = plain, err
}

// textChunk is how much is encoded at once: whole groups, and a payment in one or two writes.
const textChunk = 768

// textWriter encodes a response's body.
type textWriter struct {
	http.ResponseWriter
	media string // the response's content type, if it is gRPC-Web at all
	began bool
	plain [textChunk]byte
	have  int // bytes in plain
	text  [textChunk / 3 * 4]byte
}

// Unwrap lets a ResponseController find the deadlines.
func (w *textWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *textWriter) WriteHeader(status int) {
	w.begin()
	w.ResponseWriter.WriteHeader(status)
}

func (w *textWriter) begin() {
	if w.began {
		return
	}
	w.began = true
	if h := w.Header(); strings.HasPrefix(h.Get("Content-Type"), mediaWeb) {
		h.Set("Content-Type", w.media)
	}
}

func (w *textWriter) Write(b []byte) (int, error) {
	w.begin()
	for rest := b; len(rest) > 0; {
		n := copy(w.plain[w.have:], rest)
		w.have += n
		rest = rest[n:]
		if w.have == len(w.plain) {
			if err := w.encode(); err != nil {
				return len(b) - len(rest), err
			}
		}
	}
	return len(b), nil
}

// Flush is what connect calls behind every message.
func (w *textWriter) Flush() { _ = w.FlushError() }

// FlushError is what a ResponseController calls.
func (w *textWriter) FlushError() error {
	w.begin()
	if err := w.encode(); err != nil {
		return err
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// encode writes what is there, padded.
func (w *textWriter) encode() error {
	if w.have == 0 {
		return nil
	}
	text := base64.StdEncoding.AppendEncode(w.text[:0], w.plain[:w.have])
	w.have = 0
	_, err := w.ResponseWriter.Write(text)
	return err
}
