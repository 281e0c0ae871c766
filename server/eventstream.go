package server

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"

	"paystream/broadcast"
	paymentpb "paystream/gen/payment"
)

// sseIdle is how often an idle SSE stream sends its cursor, to keep proxies awake.
const sseIdle = 15 * time.Second

// serveEventStream answers GET /payments/stream with server-sent events or NDJSON.
func (s *Server) serveEventStream(w http.ResponseWriter, r *http.Request) {
	out := &eventSink{w: w, writer: http.NewResponseController(w), timeout: s.cfg.WriteTimeout, format: s.formats.ndjson}
	var idle time.Duration
	if acceptsSSE(r) {
		out.sse, out.format, idle = true, s.formats.sse, sseIdle
	}
	w.Header().Add("Vary", "Accept")
	req, err := streamRequest(r)
	if err == nil {
		err = s.stream(r.Context(), req, out.format, out, idle)
	}
	if r.Context().Err() == nil {
		seen, hidden := clientError(err)
		if hidden != nil {
			s.cfg.Logger.Error("stream failed", "error", hidden)
		}
		out.end(seen)
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
	w       http.ResponseWriter
	writer  *http.ResponseController
	timeout time.Duration
	format  format
	sse     bool
	opened  bool
}

func (k *eventSink) open(cursor string) error {
	k.headers()
	k.w.Header().Set(cursorHeader, cursor)
	if k.sse {
		return k.write(idBlock(cursor))
	}
	return k.write(nil)
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

func (k *eventSink) send(run broadcast.Run) error { return k.write(run.Bytes()) }

func (k *eventSink) heartbeat(cursor string) error { return k.write(k.format.heartbeat(cursor)) }

// idle sends a block of an id alone, which moves a browser's Last-Event-ID without waking the page.
func (k *eventSink) idle(cursor string) error { return k.write(idBlock(cursor)) }

func idBlock(cursor string) []byte { return append(appendID(nil, cursor), "\n\n"...) }

// write writes and flushes under the write time-out.
func (k *eventSink) write(b []byte) error {
	return within(k.writer, k.timeout, func() error {
		if len(b) > 0 {
			if _, err := k.w.Write(b); err != nil {
				return err
			}
		}
		return k.writer.Flush()
	})
}

// end tells the client why the stream ends.
func (k *eventSink) end(err *connect.Error) {
	switch {
	case k.sse && (k.opened || mayPass(err)):
		// An EventSource takes any other status than 200 for a reason never to come back.
		if !k.opened {
			k.headers()
		}
		_ = k.write(sseEnd(err)) // fails only with the connection
	case k.opened:
		_ = k.write(append(append([]byte(`{"error":`), errorJSON(err)...), "}\n"...))
	default:
		k.w.Header().Set("Cache-Control", "no-store")
		writeError(k.w, err)
	}
}

// mayPass reports whether the same request may succeed later, or from another cursor.
func mayPass(err *connect.Error) bool {
	switch err.Code() {
	case connect.CodeUnavailable, connect.CodeResourceExhausted, connect.CodeOutOfRange, connect.CodeDataLoss:
		return true
	default:
		return false
	}
}

// sseEnd returns the last event of a stream: "gap", with the cursor to go on from as its id, where
// payments can not be served; "unavailable" where only this gateway, or this moment, can not.
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
			if err.Code() == connect.CodeOutOfRange {
				event, id = "gap", m.GetOldestCursor()
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
