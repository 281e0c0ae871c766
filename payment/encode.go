package payment

import (
	"bytes"
	"encoding/binary"
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
	dst = slices.Grow(dst, len(value)) // which is nearly always enough
	dst = appendText(dst, 1, r.id)
	encoded := Encoded{ID: [2]int{len(dst) - len(r.id), len(dst)}, Provider: r.provider, Status: r.status}
	dst = appendNumber(dst, 2, uint64(r.provider))
	if r.amount != 0 {
		dst = append(dst, 3<<3|byte(protowire.Fixed64Type))
		dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(r.amount))
	}
	dst = append(dst, 4<<3|byte(protowire.BytesType), byte(len(r.currency)))
	dst = append(dst, r.currency...)
	dst = appendNumber(dst, 5, uint64(r.status))
	if len(r.email) > 0 {
		dst = appendText(dst, 6, r.email)
	}
	dst = appendNumber(dst, 7, uint64(r.createdAt))
	dst = appendNumber(dst, 8, uint64(r.processedAt))
	dst = appendMetadata(dst, o.metadata)
	if r.hasMinor {
		dst = append(dst, 10<<3|byte(protowire.VarintType))
		dst = protowire.AppendVarint(dst, uint64(r.minor))
	}
	o.close()
	return dst, encoded, nil
}

// appendText appends a text or a message with what stands before it.
func appendText(dst []byte, field byte, text []byte) []byte {
	dst = append(dst, field<<3|byte(protowire.BytesType), byte(len(text)))
	if len(text) >= 0x80 {
		dst = protowire.AppendVarint(dst[:len(dst)-1], uint64(len(text)))
	}
	// A short text is copied with what stands behind it, which is done sooner than to copy just as many bytes.
	if at := len(dst); len(text) <= 32 && cap(text) >= 32 && cap(dst)-at >= 32 {
		*(*[32]byte)(dst[at : at+32]) = [32]byte(text[:32])
		return dst[:at+len(text)]
	}
	return append(dst, text...)
}

func appendNumber(dst []byte, field byte, n uint64) []byte {
	tag := field<<3 | byte(protowire.VarintType)
	switch {
	case n == 0:
		return dst
	case n < 1<<7:
		return append(dst, tag, byte(n))
	case 1<<28 <= n && n < 1<<35: // all seconds from 1978 on for a thousand years
		const more = 0x80
		return append(dst, tag, byte(n)|more, byte(n>>7)|more, byte(n>>14)|more, byte(n>>21)|more, byte(n>>28))
	}
	return protowire.AppendVarint(append(dst, tag), n)
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
		size := len(e.name) + len(e.text) + 4
		dst = append(dst, 9<<3|byte(protowire.BytesType), byte(size))
		if size >= 0x80 {
			size = 2 + protowire.SizeBytes(len(e.name)) + protowire.SizeBytes(len(e.text))
			dst = protowire.AppendVarint(dst[:len(dst)-1], uint64(size))
		}
		dst = appendText(appendText(dst, 1, e.name), 2, e.text)
	}
	return dst
}

// ascending reports whether the entries are sorted, no two names being equal: most producers' are.
func ascending(entries []entry) bool {
	for i := 1; i < len(entries); i++ {
		a, b := entries[i-1].name, entries[i].name
		if len(a) > 0 && len(b) > 0 && a[0] < b[0] {
			continue
		}
		if bytes.Compare(a, b) >= 0 {
			return false
		}
	}
	return true
}
