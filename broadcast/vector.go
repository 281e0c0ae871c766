package broadcast

import "slices"

// Vector is where a reader stands: for each partition, by its number, the offset that comes next.
// A partition past the vector's end stands at 0, its first record.
type Vector []int64

// At returns the next offset of a partition.
func (v Vector) At(partition int32) int64 {
	if int(partition) < len(v) {
		return v[partition]
	}
	return 0
}

// Covers reports whether v has come at least as far as w in every partition.
func (v Vector) Covers(w Vector) bool {
	for p, offset := range w {
		if v.At(int32(p)) < offset {
			return false
		}
	}
	return true
}

// Clone returns a copy that shares no memory with v.
func (v Vector) Clone() Vector { return slices.Clone(v) }

// Max returns, for every partition, the greater of both offsets, in fresh memory.
func (v Vector) Max(w Vector) Vector {
	m := slices.Grow(v.Clone(), max(0, len(w)-len(v)))
	for p, offset := range w {
		m = m.advance(int32(p), offset)
	}
	return m
}

// advance moves a partition on to offset, never back, and grows the vector where it has to.
func (v Vector) advance(partition int32, offset int64) Vector {
	for int(partition) >= len(v) {
		v = append(v, 0)
	}
	v[partition] = max(v[partition], offset)
	return v
}
