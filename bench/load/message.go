package load

import (
	"bytes"
	"errors"
	"hash/crc32"

	"google.golang.org/protobuf/encoding/protowire"
)

var (
	errNoEvent = errors.New("a message is no event")
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// place is what is read of an event as it comes: where its record stands, and, in protobuf, where
// the payment lies.
type place struct {
	partition int32
	offset    int64
	payment   []byte
}

// Field numbers of PaymentEvent and Payment.
const (
	fieldPayment   = 1
	fieldPartition = 4
	fieldOffset    = 5
	fieldMetadata  = 9
)

// placeInProto finds the place in an encoded PaymentEvent, without allocating.
func placeInProto(b []byte) (place, error) {
	var p place
	for len(b) > 0 {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return p, errNoEvent
		}
		b = b[n:]
		switch kind {
		case protowire.BytesType:
			v, n := protowire.ConsumeBytes(b)
			if n < 0 {
				return p, errNoEvent
			}
			if field == fieldPayment {
				p.payment = v
			}
			b = b[n:]
		case protowire.VarintType:
			v, n := protowire.ConsumeVarint(b)
			if n < 0 {
				return p, errNoEvent
			}
			switch field {
			case fieldPartition:
				p.partition = int32(v)
			case fieldOffset:
				p.offset = int64(v)
			}
			b = b[n:]
		default:
			return p, errNoEvent
		}
	}
	if p.payment == nil {
		return p, errNoEvent
	}
	return p, nil
}

// placeInJSON finds the place in a PaymentEvent in JSON, without allocating: the last partition and
// the last offset, the payment standing first.
func placeInJSON(b []byte) (place, error) {
	var p place
	partition, offset := false, false
	for i := len(b) - 1; i > 0; i-- { // what is looked for stands near the end
		if b[i] != ':' || b[i-1] != '"' {
			continue
		}
		switch name := b[:i-1]; {
		case !offset && bytes.HasSuffix(name, []byte(`"offset`)):
			if p.offset, offset = number(b[i+1:]); !offset {
				return p, errNoEvent
			}
		case !partition && bytes.HasSuffix(name, []byte(`"partition`)):
			var v int64
			if v, partition = number(b[i+1:]); !partition {
				return p, errNoEvent
			}
			p.partition = int32(v)
		}
		if partition && offset {
			return p, nil
		}
	}
	return p, errNoEvent
}

// number reads a number, in a string or not.
func number(b []byte) (int64, bool) {
	var v int64
	digits := 0
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9':
			v = v*10 + int64(c-'0')
			digits++
		case digits == 0 && (c == ' ' || c == '"'):
		default:
			return v, digits > 0
		}
	}
	return 0, false
}

// add returns a checksum that covers one more message. Sums of the same messages in another order
// differ.
func (s Sum) add(sum uint64, message []byte, p place) uint64 {
	switch s {
	case SumPayment:
		return mix(sum, uint64(crc32.Checksum(p.payment, castagnoli)), p)
	case SumFields:
		return mix(sum, sumFields(p.payment), p)
	case SumAll:
	}
	return uint64(crc32.Update(uint32(sum), castagnoli, message))
}

// mix chains sums; the factor is FNV's.
func mix(sum, message uint64, p place) uint64 {
	const factor = 1099511628211
	sum = (sum ^ message) * factor
	return (sum ^ uint64(p.offset)) * factor
}

// sumFields returns a checksum of a payment that does not depend on the order of the entries in
// its metadata.
func sumFields(payment []byte) uint64 {
	var entries uint64
	var others uint32
	for b := payment; len(b) > 0; {
		field, _, n := protowire.ConsumeField(b)
		if n < 0 {
			return 0 // the check of the kept ones tells
		}
		if field == fieldMetadata {
			entries += uint64(crc32.Checksum(b[:n], castagnoli))
		} else {
			others = crc32.Update(others, castagnoli, b[:n])
		}
		b = b[n:]
	}
	return entries<<32 ^ entries ^ uint64(others)
}
