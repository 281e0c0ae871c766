package broadcast

import (
	"math"
	"strings"
	"sync/atomic"
	"unsafe"
)

type kind uint8

const (
	kindRecord    kind = iota
	kindTombstone      // supersedes the key's earlier records; never delivered
	kindMark           // only moves its partition's offset on
	kindGap            // moves it on over what is lost, which readers are told
)

// entry is what stands at one position: 56 bytes without a pointer, so that the garbage collector does
// not look at it and 256 of them fill what is allocated for them. Once published, only the atomic fields
// change. Other positions are kept as distances to them; 0 is none.
type entry struct {
	// offset is the record's. In a mark it is where its partition goes on, and changes until a record
	// or a tombstone stands behind it, which is when readers come to it.
	offset int64atomic
	time   int64 // of publishing, Unix milliseconds; of a gap, the offset behind it
	// link leads to the next entry of the bucket, in the index.
	link uint32atomic
	prev uint32 // the key's entry before this one, in any partition
	// fate is what became of the record: by how much the offset of the key's next entry in the same
	// partition is greater, and whether there are others.
	fate      atomic.Uint32
	partition int32
	since     uint32 // from when its age counts, Unix seconds
	text      uint32 // where in the chunk the text begins
	size      uint32 // of the value
	keySize   uint32
	keyAt     uint16 // where in the value the key begins; keyFirst is that it stands before it
	gap       uint16 // the partition's next offset is so many more than the one behind this
	chunk     uint8  // number of the chunk in the segment
	label     Label
	kind      kind
	tag       uint8 // of the key's hash
}

// int64atomic is an atomic.Int64 that can be set without a barrier as long as nobody else knows of it: on amd64 that
// waits until all that was written before, the text too, is in the cache.
type int64atomic struct{ v int64 }

func (a *int64atomic) Load() int64   { return atomic.LoadInt64(&a.v) }
func (a *int64atomic) Store(v int64) { atomic.StoreInt64(&a.v, v) }
func (a *int64atomic) set(v int64)   { a.v = v }

// uint32atomic is an atomic.Uint32 of that kind.
type uint32atomic struct{ v uint32 }

func (a *uint32atomic) Load() uint32   { return atomic.LoadUint32(&a.v) }
func (a *uint32atomic) Store(v uint32) { atomic.StoreUint32(&a.v, v) }
func (a *uint32atomic) set(v uint32)   { a.v = v }

const (
	keyFirst = math.MaxUint16
	maxGap   = math.MaxUint16

	scattered = 1 << 31       // in fate: the key stands in several partitions
	farther   = scattered - 1 // in fate: there is a next entry, and its offset has to be looked up
)

// keyWithin is how far from the value's beginning a key is looked for.
const keyWithin = 64

// findKey returns where the key begins in the value, or keyFirst when it is to be kept by itself.
func findKey(key, value string) uint16 {
	if at := strings.Index(value[:min(len(value), len(key)+keyWithin)], key); at >= 0 {
		return uint16(at)
	}
	return keyFirst
}

// after returns the partition's next offset behind the entry.
func (e *entry) after() int64 {
	switch e.kind {
	case kindMark:
		return e.offset.Load()
	case kindGap:
		return e.time
	case kindRecord, kindTombstone:
	}
	return e.offset.Load() + 1 + int64(e.gap)
}

// before reports whether e is part of a snapshot; all of them are in the nil one.
func (e *entry) before(snapshot Vector) bool {
	return snapshot == nil || e.offset.Load() < snapshot.At(e.partition)
}

// behind reports whether a reader that stands at a cursor has no need of e.
func (e *entry) behind(cursor Vector) bool {
	if e.kind == kindGap {
		return e.time <= cursor.At(e.partition)
	}
	return e.before(cursor)
}

// successor returns by how much the offset of the key's next entry in the same partition is greater; 0
// is none, farther at least that. It also reports whether the key stands in several partitions.
func (e *entry) successor() (distance int64, inSeveral bool) {
	fate := e.fate.Load()
	return int64(fate &^ scattered), fate&scattered != 0
}

// succeed is the appender's and says which offset the key's next entry in the same partition has.
func (e *entry) succeed(offset int64) {
	e.fate.Store(e.fate.Load()&scattered | uint32(min(offset-e.offset.Load(), farther)))
}

// scatter is the appender's and says that the key stands in several partitions.
func (e *entry) scatter() { e.fate.Store(e.fate.Load() | scattered) }

// weight is the bytes that an entry keeps.
func (e *entry) weight() int {
	if e.keyAt == keyFirst {
		return int(e.keySize) + int(e.size)
	}
	return int(e.size)
}

// placed is an entry where it is; the zero value is none.
type placed struct {
	*entry

	segment *segment
	pos     uint64
}

func (p placed) key() string {
	at := p.text
	if p.keyAt != keyFirst {
		at += uint32(p.keyAt)
	}
	return p.segment.string(p.chunk, at, p.keySize)
}

func (p placed) value() string {
	at := p.text
	if p.keyAt == keyFirst {
		at += p.keySize
	}
	return p.segment.string(p.chunk, at, p.size)
}

func (p placed) public() Entry {
	return Entry{
		Key: p.key(), Value: p.value(),
		Partition: p.partition, Offset: p.offset.Load(), Time: p.time, Label: p.label,
	}
}

// string returns what stands in a chunk, without a copy: what is written to a chunk stays as it is.
func (s *segment) string(chunk uint8, at, size uint32) string {
	if size == 0 {
		return ""
	}
	return unsafe.String((*byte)(unsafe.Add(unsafe.Pointer(s.chunks[chunk]), at)), size) //nolint:gosec // within the chunk
}

const (
	// chunkBytes is how much text is allocated at once: an exact size of the allocator's.
	chunkBytes = 64 << 10
	// aloneBytes is from which size on a text has a chunk of its own, so that what is left of the one
	// before it is not lost.
	aloneBytes = chunkBytes / 4
)

// texts is where keys and values are copied to. The texts of an entry's neighbours are all that stays in
// memory with it, whatever larger strings the caller's were parts of.
type texts struct {
	chunk []byte // its length is what is written, its capacity never grows
}

// room returns a chunk with room for size bytes.
func (t *texts) room(size int) []byte {
	switch {
	case size >= aloneBytes:
		return make([]byte, 0, size)
	case len(t.chunk)+size > cap(t.chunk):
		t.chunk = make([]byte, 0, chunkBytes)
	}
	return t.chunk
}

// write appends to a chunk that room has returned for it.
func (t *texts) write(chunk []byte, key, value string) {
	chunk = append(append(chunk, key...), value...)
	if len(key)+len(value) < aloneBytes {
		t.chunk = chunk
	}
}
