package broadcast

import (
	"iter"
	"slices"
	"sync"
	"sync/atomic"
)

// Render appends a record's frame to dst and returns the extended slice. cursor is where a reader
// stands behind the record, or nil where the frame need not say so: see cursorEvery. Render is called with a lock held, once for all readers that share the
// frame: it must depend on its arguments alone, must not call back into the log, and must not keep
// cursor, which changes after it returns. A frame is never empty.
type Render func(dst []byte, e Entry, cursor Vector) []byte

// Of many partitions a cursor is larger than what it goes with: with more than manyPartitions, only the first frame of
// a segment has one, and every cursorEvery-th behind it, of those that the filter selects.
const (
	manyPartitions = 16
	cursorEvery    = 32
)

// View is records rendered in one wire format, of whatever logs. Frames are made when first wanted, once for each
// filter in use, and shared; see frameCache for how long a log keeps them. For older records they are made again.
type View struct {
	render Render
	mean   atomic.Int64 // bytes of a frame, where many were made
}

// NewView returns a view that makes frames by render.
func NewView(render Render) *View { return &View{render: render} }

// Run is the frames of consecutive deliveries, next to each other in memory that is shared and
// never written again.
type Run struct {
	bytes []byte
	ends  []uint32 // where each frame ends, counted from skip; what is not delivered has an empty one
	skip  uint32
}

// Empty reports whether there are no frames.
func (r Run) Empty() bool { return len(r.bytes) == 0 }

// Len counts the frames.
func (r Run) Len() int {
	n := 0
	for range r.Frames() {
		n++
	}
	return n
}

// Bytes is all frames, one behind the other.
func (r Run) Bytes() []byte { return r.bytes }

// Frames yields the frames one at a time.
func (r Run) Frames() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		from := uint32(0)
		for _, end := range r.ends {
			to := end - r.skip
			if from < to && !yield(r.bytes[from:to:to]) {
				return
			}
			from = to
		}
	}
}

// frames is what a filter selects of one segment, in one view. Entry i's frame is
// bytes[ends[i-1]:ends[i]]; marks, tombstones and what the filter leaves out have an empty one.
type frames struct {
	log     *Log
	view    *View
	segment *segment
	filter  Filter

	done atomic.Pointer[rendered]
	ends [segmentEntries]uint32

	counted atomic.Int64 // bytes that the cache counts for it; uncounted when it does so no more

	mu     sync.Mutex // held while rendering
	cursor Vector     // where a reader stands behind what is rendered
	made   int        // how many frames that are not empty
}

// rendered is what readers may see of frames: n entries, and their bytes, both final.
type rendered struct {
	n     int
	bytes []byte
}

// run returns the frames of the entries from..to (numbers within the segment, which is the log's) that a filter selects,
// rendering what is missing.
func (v *View) run(l *Log, s *segment, filter Filter, from, to int) Run {
	f := s.find(v, filter)
	if f == nil {
		f = l.frames.add(&frames{log: l, view: v, segment: s, filter: filter, cursor: s.start.Clone()})
	}
	r := f.done.Load()
	if r == nil || r.n < to {
		r = f.renderTo(to)
	}
	start := uint32(0)
	if from > 0 {
		start = f.ends[from-1]
	}
	end := f.ends[to-1]
	return Run{bytes: r.bytes[start:end:end], ends: f.ends[from:to], skip: start}
}

// renderTo renders the segment's first n entries, or finds that another reader has.
func (f *frames) renderTo(n int) *rendered {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.done.Load()
	if r == nil {
		r = &rendered{}
	}
	if r.n >= n {
		return r
	}
	b := r.bytes
	if b == nil {
		b = make([]byte, 0, f.room())
	}
	if whole := f.whole(n); whole != nil {
		b = f.pick(b, r.n, n, whole)
	} else {
		b = f.render(b, r.n, n)
	}
	if n == segmentEntries && cap(b)-len(b) > len(b)/8 {
		b = slices.Clone(b)
	}
	f.log.frames.grow(f, int64(cap(b)-cap(r.bytes)))
	r = &rendered{n: n, bytes: b}
	f.done.Store(r)
	return r
}

// render holds mu and renders the entries from..to.
func (f *frames) render(b []byte, from, to int) []byte {
	s, made, before := f.segment, 0, len(b)
	for i := from; i < to; i++ {
		e := s.placed(s.base + uint64(i))
		f.cursor = f.cursor.advance(e.partition, e.after())
		if f.selects(e.entry) {
			b = f.view.render(b, e.public(), f.told())
			f.made++
			made++
		}
		f.ends[i] = uint32(len(b))
	}
	if made >= segmentEntries/8 {
		f.view.mean.Store(int64((len(b) - before) / made))
	}
	return b
}

// told holds mu and returns the cursor for the next frame.
func (f *frames) told() Vector {
	if len(f.cursor) > manyPartitions && f.made%cursorEvery != 0 {
		return nil
	}
	return f.cursor
}

// whole returns the frames of all of the segment's first n entries, where they are there and to be
// chosen from.
func (f *frames) whole(n int) *frames {
	if f.filter == 0 || len(f.segment.start) > manyPartitions { // another's cursors stand elsewhere
		return nil
	}
	whole := f.segment.find(f.view, 0)
	if whole == nil {
		return nil
	}
	if r := whole.done.Load(); r == nil || r.n < n {
		return nil
	}
	return whole
}

// pick holds mu and copies the frames of the entries from..to: a fifth of what making them costs.
func (f *frames) pick(b []byte, from, to int, whole *frames) []byte {
	all := whole.done.Load().bytes
	start := uint32(0)
	if from > 0 {
		start = whole.ends[from-1]
	}
	for i := from; i < to; i++ {
		e := &f.segment.entries[i]
		f.cursor = f.cursor.advance(e.partition, e.after())
		end := whole.ends[i]
		if f.selects(e) {
			b = append(b, all[start:end]...)
		}
		f.ends[i], start = uint32(len(b)), end
	}
	return b
}

func (f *frames) selects(e *entry) bool { return e.kind == kindRecord && f.filter.Matches(e.label) }

// room returns how many bytes the frames of a segment will take, as far as one can know: with memory
// that grows as they are made, four times as much is allocated.
func (f *frames) room() int {
	s := f.segment
	n, size := 0, int(s.n.Load())
	for i := range size {
		if f.selects(&s.entries[i]) {
			n++
		}
	}
	mean := int(f.view.mean.Load())
	mean += mean / 32
	if dir := *f.log.dir.Load(); s == dir[len(dir)-1] { // it is still being filled
		return min(mean*(n*segmentEntries/size), maxRoom)
	}
	return mean * n
}

// maxRoom is what is allocated for frames of records that have not come yet.
const maxRoom = 256 << 10
