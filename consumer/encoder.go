package consumer

import (
	"encoding/binary"
	"errors"

	"google.golang.org/protobuf/proto"

	"paystream/broadcast"
	"paystream/gen/payment"
	"paystream/payment"
)

// arenaBytes is about how much encoded payments share one string: enough that an
// allocation is per batch and not per payment, and little enough that the last
// retained payment of a string does not keep much of what has left.
const arenaBytes = 64 << 10

// Label returns what filters go by: the provider and the status, as one number.
func Label(p *paymentpb.Payment) broadcast.Label {
	return broadcast.Label(uint8(p.GetProvider())*8 + uint8(p.GetStatus()))
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
	key, end int // of the id; 0, 0 is one that could not be found
}

var encoding = proto.MarshalOptions{Deterministic: true}

// encode appends what is to be logged of the records.
func (e *encoder) encode(dst []broadcast.Record, partition int32, records []record) []broadcast.Record {
	for i := range records {
		r := &records[i]
		if r.value == nil {
			if len(r.key) > 0 {
				dst = append(dst, broadcast.Record{Key: string(r.key), Offset: r.offset, Time: r.time, Tombstone: true})
			}
			continue
		}
		p, err := e.decoder.Decode(r.value, r.time)
		if err != nil {
			e.reject(partition, r.offset, err)
			continue
		}
		from := len(e.arena)
		arena, err := encoding.MarshalAppend(e.arena, p)
		if err != nil { // of a text that is not UTF-8, which the decoder does not let through
			e.reject(partition, r.offset, &payment.Rejection{Reason: "can not be encoded"})
			continue
		}
		e.arena = arena
		key, end := idIn(e.arena[from:])
		e.spans = append(e.spans, extent{record: len(dst), from: from, to: len(e.arena), key: from + key, end: from + end})
		dst = append(dst, broadcast.Record{Key: p.GetId(), Offset: r.offset, Time: r.time, Label: Label(p)})
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
		dst[s.record].Value = text[s.from:s.to]
		if s.key < s.end {
			dst[s.record].Key = text[s.key:s.end]
		}
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

// idIn returns where in an encoded payment its id lies: it is field 1, so it
// comes first.
func idIn(b []byte) (from, to int) {
	const tag = 1<<3 | 2 // field 1, length-delimited
	if len(b) == 0 || b[0] != tag {
		return 0, 0
	}
	size, n := binary.Uvarint(b[1:])
	if n <= 0 || size > uint64(len(b)-1-n) {
		return 0, 0
	}
	return 1 + n, 1 + n + int(size)
}
