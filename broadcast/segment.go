package broadcast

import (
	"sort"
	"sync/atomic"
)

// A segment is closed when it has this many entries or this many bytes of values, whichever comes
// first: the unit in which frames are made and dropped, and the most that one slow reader pins.
const (
	segmentEntries = 256
	segmentBytes   = 1 << 20
)

// maxViews is how many views a log can have.
const maxViews = 16

type kind uint8

const (
	kindRecord    kind = iota
	kindTombstone      // supersedes the key's earlier records; never delivered
	kindMark           // only moves its partition's offset on
)

// entry is what stands at one position. Once published, only the atomic fields change.
type entry struct {
	key, value string
	offset     int64
	time       int64  // of publishing, Unix milliseconds
	prev       uint64 // 1 + position of the key's entry before this one, in any partition; 0 is none
	// after is the partition's next offset behind this entry. It changes only in a mark, and only
	// until a record or a tombstone stands behind it, which is when readers come to it.
	after atomic.Int64
	// successor is the offset of the key's next entry in the same partition; 0 is none.
	successor atomic.Int64
	partition int32
	since     uint32 // from when its age counts, Unix seconds
	label     Label
	kind      kind
	// scattered is set when the key stands in several partitions, so that successor is not all.
	scattered atomic.Bool
}

// weight is the bytes that an entry keeps: a record's key is part of its value.
func (e *entry) weight() int {
	if e.kind == kindTombstone {
		return len(e.key)
	}
	return len(e.value)
}

// segment is a run of consecutive positions.
type segment struct {
	base    uint64
	start   Vector // where a reader stands before the first entry; final when readers come to it
	bytes   int    // of values; the appender's
	n       atomic.Int32
	frames  [maxViews]atomic.Pointer[frames]
	entries [segmentEntries]entry
}

// end is the position behind the last published entry.
func (s *segment) end() uint64 { return s.base + uint64(s.n.Load()) }

// at returns the entry at a published position of the segment.
func (s *segment) at(pos uint64) *entry { return &s.entries[pos-s.base] }

// vectorAt returns where a reader stands before pos, which is in the segment or right behind it.
func (s *segment) vectorAt(pos uint64) Vector {
	v := s.start.Clone()
	for i := range int(pos - s.base) {
		v = v.advance(s.entries[i].partition, s.entries[i].after.Load())
	}
	return v
}

// directory lists the retained segments, oldest first. It is replaced, never changed.
type directory []*segment

// find returns the segment that holds pos, or nil when it has left or was never there.
func (d directory) find(pos uint64) *segment {
	if i := d.index(pos); i >= 0 {
		return d[i]
	}
	return nil
}

// index is find by number; -1 is nil.
func (d directory) index(pos uint64) int {
	if i := len(d) - 1; pos >= d[i].base { // where nearly every reader is
		return i
	}
	return sort.Search(len(d), func(i int) bool { return d[i].base > pos }) - 1
}
