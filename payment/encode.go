package payment

import (
	"bytes"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"paystream/gen/payment"
)

// Encoded is what Append tells of the encoding that it has appended.
type Encoded struct {
	// ID is where in the destination the payment's id lies: dst[ID[0]:ID[1]].
	ID       [2]int
	Provider paymentpb.Provider
	Status   paymentpb.PaymentStatus
}

// Append appends the protobuf encoding of the Payment that Decode returns for the same value, byte for
// byte what proto.MarshalOptions{Deterministic: true} makes of it, without making the Payment. Of a usual
// record it allocates nothing but room in dst.
//
// With an error, always a *Rejection and the same as Decode's, dst is returned as it was.
func (d Decoder) Append(dst, value []byte, recordMillis int64) ([]byte, Encoded, error) {
	o := openObject(value)
	r, err := d.read(o, recordMillis)
	if err != nil {
		o.close()
		return dst, Encoded{}, err
	}
	dst = appendText(dst, 1, r.id)
	encoded := Encoded{ID: [2]int{len(dst) - len(r.id), len(dst)}, Provider: r.provider, Status: r.status}
	dst = appendNumber(dst, 2, uint64(r.provider))
	if r.amount != 0 {
		dst = protowire.AppendTag(dst, 3, protowire.Fixed64Type)
		dst = protowire.AppendFixed64(dst, math.Float64bits(r.amount))
	}
	dst = appendText(dst, 4, r.currency)
	dst = appendNumber(dst, 5, uint64(r.status))
	dst = appendText(dst, 6, r.email)
	dst = appendNumber(dst, 7, uint64(r.createdAt))
	dst = appendNumber(dst, 8, uint64(r.processedAt))
	dst = appendMetadata(dst, o.metadata)
	if r.hasMinor {
		dst = protowire.AppendTag(dst, 10, protowire.VarintType)
		dst = protowire.AppendVarint(dst, uint64(r.minor))
	}
	o.close()
	return dst, encoded, nil
}

func appendText[T string | []byte](dst []byte, field protowire.Number, text T) []byte {
	if len(text) == 0 {
		return dst
	}
	return append(appendHead(dst, field, len(text)), text...)
}

// appendHead writes what stands before a text or a message of that size.
func appendHead(dst []byte, field protowire.Number, size int) []byte {
	if size < 0x80 {
		return append(dst, byte(field)<<3|byte(protowire.BytesType), byte(size))
	}
	return protowire.AppendVarint(protowire.AppendTag(dst, field, protowire.BytesType), uint64(size))
}

func appendNumber(dst []byte, field protowire.Number, n uint64) []byte {
	if n == 0 {
		return dst
	}
	dst = protowire.AppendTag(dst, field, protowire.VarintType)
	return protowire.AppendVarint(dst, n)
}

// appendMetadata appends the entries sorted by name, of equal names the last.
func appendMetadata(dst []byte, entries []entry) []byte {
	if !ascending(entries) {
		slices.SortStableFunc(entries, func(a, b entry) int { return bytes.Compare(a.name, b.name) })
		slices.Reverse(entries) // so that the last comes first
		entries = slices.CompactFunc(entries, func(a, b entry) bool { return bytes.Equal(a.name, b.name) })
		slices.Reverse(entries)
	}
	for i := range entries {
		e := &entries[i]
		size := 2 + protowire.SizeBytes(len(e.name)) + protowire.SizeBytes(len(e.text))
		dst = appendHead(dst, 9, size)
		dst = append(appendHead(dst, 1, len(e.name)), e.name...)
		dst = append(appendHead(dst, 2, len(e.text)), e.text...)
	}
	return dst
}

// ascending reports whether the entries are sorted, no two names being equal: most producers' are.
func ascending(entries []entry) bool {
	for i := 1; i < len(entries); i++ {
		if bytes.Compare(entries[i-1].name, entries[i].name) >= 0 {
			return false
		}
	}
	return true
}
