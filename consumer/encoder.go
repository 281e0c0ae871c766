package consumer

import (
	"errors"
	"slices"

	"paystream/broadcast"
	"paystream/gen/payment"
	"paystream/payment"
)

// arenaBytes is about how much encoded payments share one string: enough that an
// allocation is per batch and not per payment, and little enough that the last
// retained payment of a string does not keep much of what has left.
const arenaBytes = 64 << 10

// Label returns what filters go by: the provider and the status, as one number.
func Label(p *paymentpb.Payment) broadcast.Label { return label(p.GetProvider(), p.GetStatus()) }

func label(provider paymentpb.Provider, status paymentpb.PaymentStatus) broadcast.Label {
	return broadcast.Label(uint8(provider)*8 + uint8(status))
}

// encoder makes log records of Kafka's. It is used by one goroutine.
type encoder struct {
	decoder payment.Decoder
	bad     func(partition int32, offset int64, why *payment.Rejection)

	arena []byte
	spans []extent // of the records whose payments are in the arena
}

// extent is where a record's payment lies in the arena, and in it its id.
type extent struct {
	record   int
	from, to int
	key, end int // of the id
}

// encode appends what is to be logged of the records.
func (e *encoder) encode(dst []broadcast.Record, partition int32, records []record) []broadcast.Record {
	dst = slices.Grow(dst, len(records))
	for i := range records {
		r := &records[i]
		if r.value == nil {
			if len(r.key) > 0 {
				dst = append(dst, broadcast.Record{Key: string(r.key), Offset: r.offset, Time: r.time, Tombstone: true})
			}
			continue
		}
		from := len(e.arena)
		arena, p, err := e.decoder.Append(e.arena, r.value, r.time)
		if err != nil {
			e.reject(partition, r.offset, err)
			continue
		}
		e.arena = arena
		e.spans = append(e.spans, extent{record: len(dst), from: from, to: len(arena), key: p.ID[0], end: p.ID[1]})
		dst = append(dst, broadcast.Record{Offset: r.offset, Time: r.time, Label: label(p.Provider, p.Status)})
		if len(e.arena) >= arenaBytes {
			e.flush(dst)
		}
	}
	e.flush(dst)
	return dst
}

// flush turns the arena into one string and gives each record its part.
func (e *encoder) flush(dst []broadcast.Record) {
	text := string(e.arena)
	for _, s := range e.spans {
		dst[s.record].Key, dst[s.record].Value = text[s.key:s.end], text[s.from:s.to]
	}
	e.arena, e.spans = e.arena[:0], e.spans[:0]
	if cap(e.arena) > 16*arenaBytes {
		e.arena = nil
	}
}

func (e *encoder) reject(partition int32, offset int64, err error) {
	var why *payment.Rejection
	if !errors.As(err, &why) {
		why = &payment.Rejection{Reason: "can not be decoded"}
	}
	e.bad(partition, offset, why)
}
