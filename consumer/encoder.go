package consumer

import (
	"errors"
	"slices"
	"unsafe"

	"paystream/broadcast"
	"paystream/gen/payment"
	"paystream/payment"
)

// keepArena is how much room for encoded payments is kept when there is nothing to
// read at once.
const keepArena = 1 << 20

// Label returns what filters go by: the provider and the status, as one number.
func Label(p *paymentpb.Payment) broadcast.Label { return label(p.GetProvider(), p.GetStatus()) }

func label(provider paymentpb.Provider, status paymentpb.PaymentStatus) broadcast.Label {
	return broadcast.Label(uint8(provider)*8 + uint8(status))
}

// encoder makes log records of Kafka's. It is used by one goroutine.
type encoder struct {
	decoder payment.Decoder
	bad     func(partition int32, offset int64, why *payment.Rejection)
	arena   []byte // what the records' texts are parts of
}

// encode appends what is to be logged of the records. It is valid until reuse: the
// log copies what it keeps.
func (e *encoder) encode(dst []broadcast.Record, partition int32, records []record) []broadcast.Record {
	dst = slices.Grow(dst, len(records))
	arena := e.room(records)
	for i := range records {
		r := &records[i]
		if r.value == nil {
			if len(r.key) > 0 {
				dst = append(dst, broadcast.Record{Key: string(r.key), Offset: r.offset, Time: r.time, Tombstone: true})
			}
			continue
		}
		from := len(arena)
		more, p, err := e.decoder.Append(arena, r.value, r.time)
		if err != nil {
			e.reject(partition, r.offset, err)
			continue
		}
		arena = more // where it had to move, what is there already stays where it was
		dst = append(dst, broadcast.Record{
			Key: text(arena[p.ID[0]:p.ID[1]]), Value: text(arena[from:]),
			Offset: r.offset, Time: r.time, Label: label(p.Provider, p.Status),
		})
	}
	e.arena = arena
	return dst
}

// room returns the arena with room for the records' payments: they take less than
// their JSON.
func (e *encoder) room(records []record) []byte {
	size := 0
	for i := range records {
		size += len(records[i].value)
	}
	if cap(e.arena)-len(e.arena) < size {
		return make([]byte, 0, max(size+size/8, 2*len(e.arena))) // what is encoded already keeps the other
	}
	return e.arena
}

// reuse ends the use of what was encoded. So many bytes of memory are kept.
func (e *encoder) reuse(keep int) {
	if e.arena = e.arena[:0]; cap(e.arena) > keep {
		e.arena = nil
	}
}

// text is a payment, or a part of one, without a copy.
func text(b []byte) string {
	return unsafe.String(unsafe.SliceData(b), len(b)) //nolint:gosec // nothing is written there until reuse
}

func (e *encoder) reject(partition int32, offset int64, err error) {
	e.bad(partition, offset, rejection(err))
}

// rejection is why a record could not be decoded, nil for no error.
func rejection(err error) *payment.Rejection {
	if err == nil {
		return nil
	}
	var why *payment.Rejection
	if !errors.As(err, &why) {
		why = &payment.Rejection{Reason: "can not be decoded"}
	}
	return why
}
