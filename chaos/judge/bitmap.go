package judge

import "math/bits"

// bitmap is a set of offsets.
type bitmap []uint64 //nolint:recvcheck // it grows where it is set, and is read by value

func (b *bitmap) set(i int64) {
	for int64(len(*b)) <= i/64 {
		*b = append(*b, 0)
	}
	(*b)[i/64] |= 1 << (i % 64)
}

func (b *bitmap) setRange(from, to int64) {
	for i := from; i < to; i++ {
		b.set(i)
	}
}

func (b bitmap) has(i int64) bool { return i/64 < int64(len(b)) && b[i/64]>>(i%64)&1 != 0 }

// word is the bits from 64*i on.
func (b bitmap) word(i int) uint64 {
	if i < len(b) {
		return b[i]
	}
	return 0
}

// count counts those in [from, to).
func (b bitmap) count(from, to int64) (n int64) {
	for i := from; i < min(to, int64(len(b))*64); i++ {
		if b.has(i) {
			n++
		}
	}
	return n
}

func ones(w uint64) int { return bits.OnesCount64(w) }

// below keeps the bits of word i that stand for less than end.
func below(w uint64, i int, end int64) uint64 {
	switch first := int64(i) * 64; {
	case end <= first:
		return 0
	case end >= first+64:
		return w
	default:
		return w & (1<<(end-first) - 1)
	}
}
