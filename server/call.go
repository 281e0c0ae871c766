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
	request *http.Request       // with the deadlines and values of the connection
	w       http.ResponseWriter // what a stream is written to
	stream  *stream             // one that has been opened, and is to go on
	acts    *twoActs            // for a stream of connect's
}

type callKey struct{}

// withStreams is the outermost handler.
func (s *Server) withStreams(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer s.logPanic()
		if opened := serveCall(h, w, r); opened != nil {
			opened.run()
		}
	})
}

//go:noinline // its stack is to be given back
func serveCall(h http.Handler, w http.ResponseWriter, r *http.Request) *stream {
	c := &call{request: r, w: w}
	h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callKey{}, c)))
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
		return context.WithDeadline(c.request.Context(), deadline)
	}
	return c.request.Context(), func() {}
}
