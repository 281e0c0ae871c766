package server

import (
	"encoding/binary"
	"sync"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"paystream/broadcast"
	paymentpb "paystream/gen/payment"
)

// All that is known about how an event looks on the wire is here; what else stands in an event stream,
// its id blocks and its end, is in eventstream.go. A frame is made once per format
// and shared by every subscriber of that format; nothing here knows about subscribers.

// The kinds of event; each is the event_type that clients see.
const (
	typeExisting  = "existing"
	typeNew       = "new"
	typeHeartbeat = "heartbeat"
)

// envelopeSize is the length of the prefix that gRPC, gRPC-Web and Connect put before a message: a
// byte of flags and the message's length, big-endian.
const envelopeSize = 5

// format is one wire format: the views that its subscribers read, and how to make a heartbeat.
type format struct {
	existing, live *broadcast.View
	// private makes the frames of a stream whose cursor stands under leader epochs of its own.
	private func(epochs func(broadcast.Vector) []int32) broadcast.Render
	// heartbeat returns the frame of an event without a payment.
	heartbeat func(cursor string) []byte
}

// formats are the wire formats of the gateway.
type formats struct {
	proto  *format // gRPC, gRPC-Web and Connect in protobuf share the envelope and so the frames
	json   *format // the same three in JSON
	sse    *format
	ndjson *format
}

func (s *Server) newFormats() formats {
	return formats{
		proto:  s.newFormat(s.appendProto, nil, nil, true),
		json:   s.newFormat(s.appendJSON, nil, nil, true),
		sse:    s.newFormat(s.appendJSON, []byte("data: "), []byte("\n\n"), false),
		ndjson: s.newFormat(s.appendJSON, nil, []byte("\n"), false),
	}
}

// appendEvent appends an event of a record, or, where e is nil, a heartbeat.
type appendEvent func(dst []byte, e *broadcast.Entry, eventType string, cursor []byte) []byte

// newFormat makes a format of framed events.
func (s *Server) newFormat(event appendEvent, prefix, suffix []byte, envelope bool) *format {
	frame := framing(event, prefix, suffix, envelope)
	shared := func(broadcast.Vector) []int32 { return s.source.Epochs() }
	return &format{
		existing: broadcast.NewView(s.render(frame, typeExisting, shared)),
		live:     broadcast.NewView(s.render(frame, typeNew, shared)),
		private: func(epochs func(broadcast.Vector) []int32) broadcast.Render {
			return s.render(frame, typeNew, epochs)
		},
		heartbeat: func(cursor string) []byte { return frame(nil, nil, typeHeartbeat, []byte(cursor)) },
	}
}

// framing puts each event into an envelope, or between two strings; a format with a prefix is
// server-sent events, whose blocks carry the cursor in a line of their own, too. An empty cursor is none.
func framing(event appendEvent, prefix, suffix []byte, envelope bool) appendEvent {
	return func(dst []byte, e *broadcast.Entry, eventType string, cursor []byte) []byte {
		if prefix != nil && len(cursor) > 0 {
			dst = appendID(dst, cursor)
			dst = append(dst, '\n')
		}
		start := len(dst)
		if envelope {
			dst = append(dst, make([]byte, envelopeSize)...)
		}
		dst = event(append(dst, prefix...), e, eventType, cursor)
		if envelope {
			binary.BigEndian.PutUint32(dst[start+1:], uint32(len(dst)-start-envelopeSize))
		}
		return append(dst, suffix...)
	}
}

// working is what a frame is made with.
type working struct {
	entry       broadcast.Entry
	cursor, raw []byte
}

var workings = sync.Pool{New: func() any { return new(working) }}

// render makes the frames of one type of event, with cursors under such leader epochs. It allocates nothing but for dst.
func (s *Server) render(frame appendEvent, eventType string, epochs func(broadcast.Vector) []int32) broadcast.Render {
	return func(dst []byte, e broadcast.Entry, cursor broadcast.Vector) []byte {
		w, _ := workings.Get().(*working)
		defer workings.Put(w)
		w.entry = e
		if w.cursor = w.cursor[:0]; cursor != nil {
			w.cursor, w.raw = appendCursor(w.cursor, w.raw, s.source.Fingerprint(), cursor, epochs(cursor))
		}
		dst = frame(dst, &w.entry, eventType, w.cursor)
		w.entry = broadcast.Entry{} // its strings would keep evicted memory
		return dst
	}
}

// appendID appends the line by which a browser learns its Last-Event-ID.
func appendID[Cursor string | []byte](dst []byte, cursor Cursor) []byte {
	dst = append(dst, "id: "...)
	return append(dst, cursor...)
}

// Field numbers of PaymentEvent. A test holds appendProto against the generated code.
const (
	fieldPayment     = 1
	fieldEventType   = 2
	fieldTopic       = 3
	fieldPartition   = 4
	fieldOffset      = 5
	fieldCursor      = 6
	fieldPublishedAt = 7
)

// appendProto writes the event around the payment as the log has it, encoded already.
func (s *Server) appendProto(b []byte, e *broadcast.Entry, eventType string, cursor []byte) []byte {
	if e != nil {
		b = protowire.AppendTag(b, fieldPayment, protowire.BytesType)
		b = protowire.AppendString(b, e.Value)
	}
	b = appendStringField(b, fieldEventType, eventType)
	b = appendStringField(b, fieldTopic, s.cfg.Topic)
	if e != nil {
		b = appendIntField(b, fieldPartition, int64(e.Partition))
		b = appendIntField(b, fieldOffset, e.Offset)
	}
	if len(cursor) > 0 {
		b = protowire.AppendBytes(protowire.AppendTag(b, fieldCursor, protowire.BytesType), cursor)
	}
	if e != nil {
		b = appendIntField(b, fieldPublishedAt, e.Time)
	}
	return b
}

func appendStringField(b []byte, field protowire.Number, v string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), v)
}

func appendIntField(b []byte, field protowire.Number, v int64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), uint64(v))
}

// marshalJSON is the proto mapping with default values written, so that partition 0 and offset 0
// are seen, on one line.
var marshalJSON = protojson.MarshalOptions{EmitDefaultValues: true}

// paymentOf decodes the payment that an entry holds.
func paymentOf(e broadcast.Entry) *paymentpb.Payment {
	p := &paymentpb.Payment{}
	if err := proto.Unmarshal([]byte(e.Value), p); err != nil {
		panic("server: the log holds what is no payment: " + err.Error())
	}
	return p
}
