package traffic

import "github.com/twmb/franz-go/pkg/kgo"

// Print identifies a payment's content by its id and its exact amount. Subscribers make the same of
// what they see.
func Print(id []byte, amountMinor int64) uint64 {
	h := fnv(fnvOffset, id)
	for range 8 {
		h = (h ^ uint64(amountMinor&0xff)) * fnvPrime
		amountMinor >>= 8
	}
	return mix(h)
}

// Bytes identifies a record by all of its bytes, those of its headers too.
func Bytes(key, value []byte, headers []kgo.RecordHeader) uint64 {
	h := fnv((fnv(fnvOffset, key)^0xff)*fnvPrime, value)
	for _, header := range headers {
		h = fnv((fnv((h^0xff)*fnvPrime, []byte(header.Key))^0xff)*fnvPrime, header.Value)
	}
	return mix(h)
}

const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

func fnv(h uint64, b []byte) uint64 {
	for _, c := range b {
		h = (h ^ uint64(c)) * fnvPrime
	}
	return h
}

// mix spreads all bits over all others: the judge keeps the lower 61.
func mix(h uint64) uint64 {
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	h ^= h >> 32
	return h
}
