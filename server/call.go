package server

import (
	"context"
	"net/http"
)

// call is what the outermost handler knows of a request, and what the others leave with it.
//
// A stream is opened by a handler far within, and goes on in the outermost one once that handler and all
// between have returned: they would be 2 KiB of every waiting subscriber's stack, which makes it 8 KiB and
// not 4, and what they hold would be kept with it.
type call struct {
	ctx    context.Context     //nolint:containedctx // the request's
	http1  *switchWriter       // nil where it is not on HTTP/1.1
	w      http.ResponseWriter // what a stream is written to
	stream *stream             // one that has been opened, and is to go on
	acts   *twoActs            // for a stream of connect's
}

type callKey struct{}

// withStreams is the outermost handler.
func (s *Server) withStreams(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil {
				s.logPanic(p)
				panic(http.ErrAbortHandler)
			}
		}()
		if opened := s.serveCall(h, w, r); opened != nil {
			opened.run()
		}
	})
}

// serveCall returns a stream that is to go on here.
//
//go:noinline // its stack is to be given back
func (s *Server) serveCall(h http.Handler, w http.ResponseWriter, r *http.Request) *stream {
	c := &call{ctx: r.Context()}
	if r.ProtoMajor == 1 && r.ProtoMinor > 0 {
		c.http1 = &switchWriter{w}
		w = c.http1
	}
	c.w = w
	h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callKey{}, c)))
	if c.stream != nil && c.http1 != nil && s.takeOver(c.stream, c.http1) {
		return nil
	}
	return c.stream
}

func callOf(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

// context returns the context for a stream to go on in, which is the request's, with the deadline of the
// handler's, and what to call at its end.
func (c *call) context(handlers context.Context) (context.Context, context.CancelFunc) {
	if deadline, ok := handlers.Deadline(); ok {
		return context.WithDeadline(c.ctx, deadline)
	}
	return c.ctx, func() {}
}
