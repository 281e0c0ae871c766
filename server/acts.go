package server

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net/http"

	"connectrpc.com/connect"
)

// twoActs lets a Connect handler serve a stream in two acts. In the first it negotiates, reads the request
// and opens the stream; it returns while the stream goes on, and what it would end the stream with is not
// sent. In the second, at the stream's end, it is called once more, with an empty message in place of the
// request and without its headers being sent again, and ends the stream.
type twoActs struct {
	handler http.Handler
	request *http.Request
	json    bool           // the request's codec
	end     *connect.Error // not nil in the second act
}

func inTwoActs(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := callOf(r.Context())
		c.acts = &twoActs{handler: h}
		h.ServeHTTP(firstAct{w, c}, r)
		if c.stream != nil {
			// The request may end before the stream, and its body would keep what it was read with.
			again := r.WithContext(context.WithoutCancel(r.Context()))
			again.Body = nil
			c.acts.request = again
		}
	})
}

// finish is the second act.
func (a *twoActs) finish(w http.ResponseWriter, err *connect.Error) {
	a.end = err
	var message []byte
	if a.json {
		message = []byte("{}")
	}
	body := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
	r := a.request
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	a.handler.ServeHTTP(secondAct{w}, r)
}

// firstAct sends what a handler writes until it has opened a stream.
type firstAct struct {
	http.ResponseWriter
	call *call
}

// Unwrap lets a ResponseController find the deadlines.
func (w firstAct) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w firstAct) over() bool { return w.call.stream != nil }

// Header returns trailers' place to be forgotten when the act is over.
func (w firstAct) Header() http.Header {
	if w.over() {
		return http.Header{}
	}
	return w.ResponseWriter.Header()
}

func (w firstAct) WriteHeader(status int) {
	if !w.over() {
		w.ResponseWriter.WriteHeader(status)
	}
}

func (w firstAct) Write(b []byte) (int, error) {
	if w.over() {
		return len(b), nil
	}
	return w.ResponseWriter.Write(b) //nolint:wrapcheck // connect's to look at
}

// Flush is what connect calls behind every message.
func (w firstAct) Flush() {
	if !w.over() {
		_ = http.NewResponseController(w.ResponseWriter).Flush() // fails only with the connection
	}
}

// secondAct sends no headers.
type secondAct struct{ http.ResponseWriter }

// Unwrap lets a ResponseController find the deadlines.
func (w secondAct) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader does nothing: they have been sent.
func (secondAct) WriteHeader(int) {}

// Flush is what connect calls behind every message.
func (w secondAct) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }
