package consumer

import (
	"slices"
	"sync"
	"unsafe"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// keepMemories is how many fetches' memory is kept for later ones.
	keepMemories = 4
	// keepInflated is how many bytes of decompressed batches are kept with each.
	keepInflated = 4 << 20
	// keepRecords is for how many records room is kept with each, 160 bytes and 72.
	keepRecords = 1 << 14
	// smallMemory is the most that is kept with one when there is nothing more to read at once: what a
	// refill needs is of no use to fetches that wait for single records.
	smallMemory = 256 << 10
	// fewRecords is for how many there is room at least.
	fewRecords = 256
)

// memory is what one fetch works in: the answer, its batches decompressed, and the records of one of its
// partitions. Nobody may hold on to any of it behind reuse.
type memory struct {
	answer       []byte
	records      []record
	slab         slab
	decompressor kgo.Decompressor
	free, used   [][]byte // decompressed batches
}

func newMemory() *memory {
	m := &memory{}
	m.decompressor = kgo.DefaultDecompressor(m)
	return m
}

// Decompress implements [kgo.Decompressor].
func (m *memory) Decompress(src []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	out, err := m.decompressor.Decompress(src, codec)
	if err == nil && codec != kgo.CodecNone {
		m.used = append(m.used, out)
	}
	return out, err
}

// GetDecompressBytes implements [kgo.PoolDecompressBytes]. For what does not fit in it kgo makes room.
func (m *memory) GetDecompressBytes([]byte, kgo.CompressionCodecType) []byte {
	if len(m.free) == 0 {
		return nil
	}
	largest := 0
	for i, buf := range m.free {
		if cap(buf) > cap(m.free[largest]) {
			largest = i
		}
	}
	buf := m.free[largest]
	m.free = slices.Delete(m.free, largest, largest+1)
	return buf
}

// PutDecompressBytes implements [kgo.PoolDecompressBytes]. It is called with what could not be decompressed.
func (m *memory) PutDecompressBytes([]byte) {}

// size returns about how many bytes it takes.
func (m *memory) size() int {
	n := cap(m.answer) + cap(m.records)*int(unsafe.Sizeof(record{})) + len(m.slab.records)*int(unsafe.Sizeof(kgo.Record{}))
	for _, buf := range m.free {
		n += cap(buf)
	}
	return n
}

// reuse ends the use of a partition's records and batches.
func (m *memory) reuse() {
	clear(m.records)
	m.records = m.records[:0]
	if cap(m.records) > keepRecords {
		m.records = nil
	}
	m.slab.reuse()
	m.free = append(m.free, m.used...)
	clear(m.used)
	m.used = m.used[:0]
	kept := 0
	for i, buf := range m.free {
		if kept += cap(buf); kept > keepInflated {
			clear(m.free[i:])
			m.free = m.free[:i]
			break
		}
	}
}

// slab is room for records as kgo has them. It goes by [kgo.PoolRecords], but for giving back: all of it is free
// again once a partition has been read, without a call for each record.
type slab struct {
	records []kgo.Record
	used    int
}

// GetRecords implements [kgo.PoolRecords].
func (s *slab) GetRecords(n int) []kgo.Record {
	if len(s.records)-s.used < n {
		s.records, s.used = make([]kgo.Record, max(n, 2*len(s.records), fewRecords)), 0
	}
	s.used += n
	return s.records[s.used-n : s.used : s.used]
}

// PutRecords implements [kgo.PoolRecords].
func (s *slab) PutRecords([]kgo.Record) {}

func (s *slab) reuse() {
	clear(s.records[:s.used]) // they would keep the answer in memory
	s.used = 0
	if len(s.records) > keepRecords {
		s.records = nil
	}
}

// memories are those of fetches that are over.
type memories struct {
	mu   sync.Mutex
	free []*memory
}

func (l *memories) take() *memory {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.free) == 0 {
		return newMemory()
	}
	m := l.free[len(l.free)-1]
	l.free = l.free[:len(l.free)-1]
	return m
}

func (l *memories) give(m *memory) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.free) < keepMemories {
		l.free = append(l.free, m)
	}
}

// drop lets go of all.
func (l *memories) drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.free = nil
}
