package broadcast

import (
	"slices"
	"sort"
	"sync/atomic"
)

// A segment is closed when it has this many entries, this many bytes of values or texts in this many
// chunks, whichever comes first: the unit in which frames are made and dropped, and the most that one
// slow reader pins.
const (
	segmentEntries = 256
	segmentBytes   = 1 << 20
	segmentChunks  = 16
)

// segment is a run of consecutive positions.
type segment struct {
	base    uint64
	start   Vector // where a reader stands before the first entry; final when readers come to it
	bytes   int    // of texts; the appender's
	n       atomic.Int32
	filled  int32                     // n, with what is not published; the appender's
	entries *[segmentEntries]entry    // apart, since it has no pointers
	chunks  [segmentChunks]*byte      // the beginnings of those that hold the entries' texts
	frames  atomic.Pointer[[]*frames] // of all views and filters; replaced, never changed; nil is none
}

func newSegment(base uint64, start Vector) *segment {
	return &segment{base: base, start: start, entries: new([segmentEntries]entry)}
}

// find returns a filter's frames in a view, or nil where there are none.
func (s *segment) find(v *View, filter Filter) *frames {
	for _, f := range s.allFrames() {
		if f.view == v && f.filter == filter {
			return f
		}
	}
	return nil
}

func (s *segment) allFrames() []*frames {
	if all := s.frames.Load(); all != nil {
		return *all
	}
	return nil
}

// setFrames is the frame cache's.
func (s *segment) setFrames(all []*frames) { s.frames.Store(&all) }

// hasRoom reports whether a text in a chunk can be the segment's.
func (s *segment) hasRoom(chunk []byte) bool {
	return s.chunks[segmentChunks-1] == nil || slices.Contains(s.chunks[:], &chunk[:1][0])
}

// number returns a chunk's number in the segment, which has room for it.
func (s *segment) number(chunk []byte) uint8 {
	first, i := &chunk[:1][0], 0
	for s.chunks[i] != nil && s.chunks[i] != first {
		i++
	}
	if s.chunks[i] == nil { // or readers may be looking at it
		s.chunks[i] = first
	}
	return uint8(i)
}

// end is the position behind the last published entry.
func (s *segment) end() uint64 { return s.base + uint64(s.n.Load()) }

// at returns the entry at a published position of the segment.
func (s *segment) at(pos uint64) *entry { return &s.entries[pos-s.base] }

// placed is at with all that belongs to it.
func (s *segment) placed(pos uint64) placed { return placed{s.at(pos), s, pos} }

// vectorAt returns where a reader stands before pos, which is in the segment or right behind it.
func (s *segment) vectorAt(pos uint64) Vector {
	v := s.start.Clone()
	for i := range int(pos - s.base) {
		v = v.advance(s.entries[i].partition, s.entries[i].after())
	}
	return v
}

// directory lists the retained segments, oldest first. It is replaced, never changed.
type directory []*segment

// with returns a directory that has a segment more.
func (d directory) with(s *segment) *directory {
	more := append(make(directory, 0, len(d)+1), d...)
	more = append(more, s)
	return &more
}

// from returns a directory without the first n segments.
func (d directory) from(n int) *directory {
	rest := slices.Clone(d[n:])
	return &rest
}

// find returns the segment that holds pos, or nil when it has left or was never there.
func (d directory) find(pos uint64) *segment {
	if i := d.index(pos); i >= 0 {
		return d[i]
	}
	return nil
}

// index is find by number; -1 is nil.
func (d directory) index(pos uint64) int {
	last := len(d) - 1
	switch {
	case pos >= d[last].base: // where nearly every reader is
		return last
	case pos < d[0].base:
		return -1
	}
	// It can not be before this one, and is this one where all are full.
	i := int((pos - d[0].base) / segmentEntries)
	if pos < d[i+1].base {
		return i
	}
	return i + sort.Search(last-i, func(n int) bool { return d[i+n+1].base > pos })
}
