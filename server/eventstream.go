package server

import (
	"context"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"

	paymentpb "paystream/gen/payment"
)

// sseIdle is how often an idle SSE stream sends its cursor, to keep proxies awake.
const sseIdle = 15 * time.Second

// serveEventStream answers GET /payments/stream with server-sent events or NDJSON.
func (s *Server) serveEventStream(w http.ResponseWriter, r *http.Request) {
	out := &eventSink{directWriter: s.newDirectWriter(w, s.formats.ndjson)}
	var idle time.Duration
	if acceptsSSE(r) {
		out.sse, out.format, idle = true, s.formats.sse, sseIdle
	}
	w.Header().Add("Vary", "Accept")
	if r.Method == http.MethodHead { // the pattern lets it in, and a stream would never end
		out.headers()
		return
	}
	call := callOf(r.Context())
	req, err := streamRequest(r)
	if err == nil {
		call.stream, err = s.open(r.Context(), call, req, out.format, out, idle)
	}
	if err != nil {
		out.end(s.clientError(err))
	}
}

// acceptsSSE reports whether the client asks for server-sent events by name.
func acceptsSSE(r *http.Request) bool {
	for _, accept := range r.Header.Values("Accept") {
		for part := range strings.SplitSeq(accept, ",") {
			if media, _, err := mime.ParseMediaType(part); err == nil && media == "text/event-stream" {
				return true
			}
		}
	}
	return false
}

// eventSink writes a stream as server-sent events or NDJSON.
type eventSink struct {
	directWriter
	sse    bool
	opened bool
}

func (k *eventSink) open(ctx context.Context, cursor string) error {
	if err := k.watch(); err != nil {
		return err
	}
	k.headers()
	k.w.Header().Set(cursorHeader, cursor)
	if err := k.flush(); err != nil {
		return err
	}
	k.direct(ctx)
	if k.sse {
		return k.message(idBlock(cursor))
	}
	return nil
}

func (k *eventSink) headers() {
	h := k.w.Header()
	h.Set("Content-Type", "application/x-ndjson")
	if k.sse {
		h.Set("Content-Type", "text/event-stream")
	}
	h.Set("Cache-Control", "no-store, no-transform")
	h.Set("X-Accel-Buffering", "no")
	k.opened = true
}

// idle sends a block of an id alone, which moves a browser's Last-Event-ID without waking the page.
func (k *eventSink) idle(cursor string) error { return k.message(idBlock(cursor)) }

func idBlock(cursor string) []byte { return append(appendID(nil, cursor), "\n\n"...) }

func (k *eventSink) end(err *connect.Error) {
	defer k.close()
	switch {
	case err.Code() == connect.CodeCanceled: // nobody is there to be told
	case k.sse && (k.opened || mayPass(err)):
		// An EventSource takes any other status than 200 for a reason never to come back.
		if !k.opened {
			k.headers()
		}
		_ = k.message(sseEnd(err)) // fails only with the connection
	case k.opened:
		_ = k.message(append(append([]byte(`{"error":`), errorJSON(err)...), "}\n"...))
	default:
		k.w.Header().Set("Cache-Control", "no-store")
		writeError(k.w, err)
	}
}

// mayPass reports whether the same request may succeed later, or from another cursor.
func mayPass(err *connect.Error) bool {
	switch err.Code() {
	case connect.CodeUnavailable, connect.CodeResourceExhausted, connect.CodeDataLoss:
		return true
	default:
		return false
	}
}

// gapRetry is how soon a browser comes back after a gap.
const gapRetry = 50 * time.Millisecond

// sseEnd returns the last event of a stream: "gap", with the cursor to go on from as its id, where
// payments are lost; "unavailable" where only this gateway, or this moment, can not.
func sseEnd(err *connect.Error) []byte {
	event, id := "unavailable", ""
	retry := retryDelay()
	for _, detail := range err.Details() {
		message, e := detail.Value()
		if e != nil {
			continue
		}
		switch m := message.(type) {
		case *paymentpb.StreamEnd:
			id = m.GetCursor()
			if err.Code() == connect.CodeDataLoss {
				event, retry = "gap", gapRetry // there is nothing to wait for
			}
		case *errdetails.RetryInfo:
			retry = m.GetRetryDelay().AsDuration()
		}
	}
	b := []byte("retry: " + strconv.FormatInt(retry.Milliseconds(), 10) + "\n")
	if id != "" {
		b = append(appendID(b, id), '\n')
	}
	b = append(b, "event: "+event+"\ndata: "...)
	b = append(b, errorJSON(err)...)
	return append(b, "\n\n"...)
}
