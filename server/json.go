package server

import (
	"math"
	"sync"

	"github.com/go-faster/jx"
	"google.golang.org/protobuf/encoding/protowire"

	"paystream/broadcast"
	paymentpb "paystream/gen/payment"
)

// Events in protobuf's JSON mapping, default values written, on one line. They are rendered anew for
// each JSON format and each gateway, and protojson, which goes by reflection, takes six times as long.
// A test holds the two against each other.

// jsonWriter is what an event is written with. value is the payment's encoding: protowire reads no strings.
type jsonWriter struct {
	jx.Writer
	value []byte
}

var jsonWriters = sync.Pool{New: func() any { return new(jsonWriter) }}

func (s *Server) appendJSON(b []byte, e *broadcast.Entry, eventType string, cursor []byte) []byte {
	w, _ := jsonWriters.Get().(*jsonWriter)
	defer jsonWriters.Put(w)
	w.Buf = b
	w.RawStr(`{`)
	if e != nil {
		w.RawStr(`"payment":`)
		w.value = append(w.value[:0], e.Value...)
		writePayment(&w.Writer, parsePayment(w.value))
		w.Comma()
	}
	w.RawStr(`"eventType":`)
	w.Str(eventType)
	w.RawStr(`,"topic":`)
	w.Str(s.cfg.Topic)
	var partition int32
	var offset, published int64
	if e != nil {
		partition, offset, published = e.Partition, e.Offset, e.Time
	}
	w.RawStr(`,"partition":`)
	w.Int32(partition)
	w.RawStr(`,"offset":"`)
	w.Int64(offset)
	w.RawStr(`","cursor":`)
	w.ByteStr(cursor)
	w.RawStr(`,"publishedAt":"`)
	w.Int64(published)
	w.RawStr(`"}`)
	b, w.Buf = w.Buf, nil
	return b
}

// Field numbers of Payment, whose encoding has them in this order.
const (
	paymentID          = 1
	paymentProvider    = 2
	paymentAmount      = 3
	paymentCurrency    = 4
	paymentStatus      = 5
	paymentEmail       = 6
	paymentCreatedAt   = 7
	paymentProcessedAt = 8
	paymentMetadata    = 9
	paymentAmountMinor = 10
)

// paymentFields are a payment's, still as they are encoded; strings point into the encoding.
type paymentFields struct {
	strings  [paymentEmail + 1][]byte
	numbers  [paymentAmountMinor + 1]uint64
	metadata []byte // from the first entry on
	hasMinor bool
}

// parsePayment takes a payment's encoding apart, as the decoder of records has written it.
func parsePayment(b []byte) (p paymentFields) {
	for len(b) > 0 {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			panic("server: the log holds what is no payment")
		}
		if field == paymentMetadata && p.metadata == nil {
			p.metadata = b
		}
		b = b[n:]
		switch {
		case kind == protowire.BytesType && field <= paymentEmail:
			p.strings[field], n = protowire.ConsumeBytes(b)
		case kind == protowire.VarintType && field <= paymentAmountMinor:
			p.numbers[field], n = protowire.ConsumeVarint(b)
			p.hasMinor = p.hasMinor || field == paymentAmountMinor
		case kind == protowire.Fixed64Type && field == paymentAmount:
			p.numbers[field], n = protowire.ConsumeFixed64(b)
		default:
			n = protowire.ConsumeFieldValue(field, kind, b)
		}
		if n < 0 {
			panic("server: the log holds what is no payment")
		}
		b = b[n:]
	}
	return p
}

func writePayment(w *jx.Writer, p paymentFields) {
	w.RawStr(`{"id":`)
	w.ByteStr(p.strings[paymentID])
	w.RawStr(`,"provider":`)
	writeEnum(w, paymentpb.Provider_name, int32(p.numbers[paymentProvider]))
	w.RawStr(`,"amount":`)
	w.Float64(math.Float64frombits(p.numbers[paymentAmount]))
	w.RawStr(`,"currency":`)
	w.ByteStr(p.strings[paymentCurrency])
	w.RawStr(`,"status":`)
	writeEnum(w, paymentpb.PaymentStatus_name, int32(p.numbers[paymentStatus]))
	w.RawStr(`,"customerEmail":`)
	w.ByteStr(p.strings[paymentEmail])
	w.RawStr(`,"createdAt":"`)
	w.Int64(int64(p.numbers[paymentCreatedAt]))
	w.RawStr(`","processedAt":"`)
	w.Int64(int64(p.numbers[paymentProcessedAt]))
	w.RawStr(`","metadata":{`)
	writeMetadata(w, p.metadata)
	w.RawStr(`}`)
	if p.hasMinor {
		w.RawStr(`,"amountMinor":"`)
		w.Int64(int64(p.numbers[paymentAmountMinor]))
		w.RawStr(`"`)
	}
	w.RawStr(`}`)
}

// writeMetadata writes the entries that b begins with, in their order, which is that of their keys.
func writeMetadata(w *jx.Writer, b []byte) {
	for first := true; len(b) > 0; first = false {
		field, _, n := protowire.ConsumeTag(b)
		if field != paymentMetadata {
			return
		}
		entry, m := protowire.ConsumeBytes(b[n:])
		b = b[n+m:]
		var pair [3][]byte // by field number: key 1, value 2
		for len(entry) > 0 {
			field, _, n := protowire.ConsumeTag(entry)
			pair[field], m = protowire.ConsumeBytes(entry[n:])
			entry = entry[n+m:]
		}
		if !first {
			w.Comma()
		}
		w.ByteStr(pair[1])
		w.RawStr(`:`)
		w.ByteStr(pair[2])
	}
}

// writeEnum writes a value's name, or its number where it has none.
func writeEnum(w *jx.Writer, names map[int32]string, value int32) {
	name, ok := names[value]
	if !ok {
		w.Int32(value)
		return
	}
	w.RawStr(`"`)
	w.RawStr(name)
	w.RawStr(`"`)
}
