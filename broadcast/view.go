package broadcast

import (
	"iter"
	"slices"
	"sync"
	"sync/atomic"
)

// maxFrameBytes is what frames may take, over all views, and at most a quarter of the limit. With 100
// subscribers that read 78 MB of frames, the last at 0.9 of the first one's speed, a frame is rendered
// once; with 8 MiB 4 times, with 4 MiB 17 times. Where speeds differ more, 24 MiB would hardly help.
const maxFrameBytes = 16 << 20

// Render appends a record's frame to dst and returns the extended slice. cursor is where a reader
// stands behind the record. Render is called with a lock held, once for all readers that share the
// frame: it must depend on its arguments alone, must not call back into the log, and must not keep
// cursor, which changes after it returns.
type Render func(dst []byte, e Entry, cursor Vector) []byte

// View is the log rendered in one wire format. Frames are made when first wanted, once, and shared;
// they are kept for the few MiB that were made last, and made again for other records.
type View struct {
	log    *Log
	render Render
	slot   int
	mean   atomic.Int64 // bytes of an entry's frame, where many were made
}

// NewView returns a view of the log. A log has room for 16.
func (l *Log) NewView(render Render) *View {
	slot := int(l.views.Add(1)) - 1
	if slot >= maxViews {
		panic("broadcast: more than 16 views of one log")
	}
	return &View{log: l, render: render, slot: slot}
}

// Run is the frames of consecutive deliveries, next to each other in memory that is shared and
// never written again.
type Run struct {
	bytes []byte
	ends  []uint32 // where each frame ends, counted from skip
	skip  uint32
}

// Len is the number of frames.
func (r Run) Len() int { return len(r.ends) }

// Bytes is all frames, one behind the other.
func (r Run) Bytes() []byte { return r.bytes }

// Frames yields the frames one at a time.
func (r Run) Frames() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		from := uint32(0)
		for _, end := range r.ends {
			if !yield(r.bytes[from : end-r.skip : end-r.skip]) {
				return
			}
			from = end - r.skip
		}
	}
}

// frames is one segment in one view. Entry i's frame is bytes[ends[i-1]:ends[i]]; marks and
// tombstones have an empty one.
type frames struct {
	done atomic.Pointer[rendered]
	ends [segmentEntries]uint32

	counted atomic.Int64 // bytes that the cache counts for it; -1 when it counts it no more

	mu     sync.Mutex // held while rendering
	cursor Vector     // where a reader stands behind what is rendered
}

// rendered is what readers may see of frames: n entries, and their bytes, both final.
type rendered struct {
	n     int
	bytes []byte
}

// run returns the frames of the entries from..to (numbers within the segment) that follow each
// other without a hole, rendering what is missing.
func (v *View) run(s *segment, from, to int) Run {
	f := s.frames[v.slot].Load()
	if f == nil {
		f = &frames{cursor: s.start.Clone()}
		if s.frames[v.slot].CompareAndSwap(nil, f) {
			v.log.frames.add(cached{segment: s, slot: v.slot, frames: f}, v.log.last.Load())
		} else if f = s.frames[v.slot].Load(); f == nil {
			f = &frames{cursor: s.start.Clone()} // made and dropped meanwhile: this one is ours alone
			f.counted.Store(uncounted)
		}
	}
	r := f.done.Load()
	if r == nil || r.n < to {
		r = v.renderTo(s, f, to)
	}
	start := uint32(0)
	if from > 0 {
		start = f.ends[from-1]
	}
	end := f.ends[to-1]
	return Run{bytes: r.bytes[start:end:end], ends: f.ends[from:to], skip: start}
}

// renderTo renders the segment's first n entries, or finds that another reader has.
func (v *View) renderTo(s *segment, f *frames, n int) *rendered {
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
		b = make([]byte, 0, v.room(s))
	}
	for i := r.n; i < n; i++ {
		e := s.placed(s.base + uint64(i))
		f.cursor = f.cursor.advance(e.partition, e.after())
		if e.kind == kindRecord {
			b = v.render(b, e.public(), f.cursor)
		}
		f.ends[i] = uint32(len(b))
	}
	if n == segmentEntries {
		v.mean.Store(int64(len(b) / n))
		if cap(b)-len(b) > len(b)/8 {
			b = slices.Clone(b)
		}
	}
	v.log.frames.grow(f, int64(cap(b)-cap(r.bytes)))
	r = &rendered{n: n, bytes: b}
	f.done.Store(r)
	return r
}

// room returns how many bytes the frames of a segment will take, as far as one can know: with memory
// that grows as they are made, four times as much is allocated.
func (v *View) room(s *segment) int {
	mean := int(v.mean.Load())
	mean += mean / 32
	if dir := *v.log.dir.Load(); s != dir[len(dir)-1] {
		return mean * int(s.n.Load())
	}
	return min(mean*segmentEntries, maxRoom) // it is still being filled
}

// maxRoom is what is allocated for frames of records that have not come yet.
const maxRoom = 256 << 10

// frameCache keeps the rendered frames of all views within a budget, dropping the oldest made first,
// but never those of the newest segment, which nearly all readers share.
type frameCache struct {
	budget int
	bytes  atomic.Int64

	mu   sync.Mutex
	made []cached
}

// uncounted marks frames that are not in the cache.
const uncounted = -1

type cached struct {
	segment *segment
	slot    int
	frames  *frames
}

func (c *frameCache) size() int { return int(c.bytes.Load()) }

// grow counts n bytes more for f, unless f is not in the cache.
func (c *frameCache) grow(f *frames, n int64) {
	for counted := f.counted.Load(); counted != uncounted; counted = f.counted.Load() {
		if f.counted.CompareAndSwap(counted, counted+n) {
			if c.bytes.Add(n) > int64(c.budget) {
				c.shrink()
			}
			return
		}
	}
}

// add enters new frames, unless their segment has left the log meanwhile.
func (c *frameCache) add(m cached, last uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m.segment.end() <= last {
		c.remove(m)
		return
	}
	c.made = append(c.made, m)
}

// shrink drops frames until the budget holds.
func (c *frameCache) shrink() {
	c.mu.Lock()
	defer c.mu.Unlock()
	newest := uint64(0)
	for _, m := range c.made {
		newest = max(newest, m.segment.base)
	}
	c.made = slices.DeleteFunc(c.made, func(m cached) bool {
		if c.bytes.Load() <= int64(c.budget) || m.segment.base == newest {
			return false
		}
		c.remove(m)
		return true
	})
}

// drop forgets the frames of segments that have left the log.
func (c *frameCache) drop(gone []*segment) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.made = slices.DeleteFunc(c.made, func(m cached) bool {
		if !slices.Contains(gone, m.segment) {
			return false
		}
		c.remove(m)
		return true
	})
}

// remove holds mu. Readers that hold the frames go on with them; nobody finds them any more.
func (c *frameCache) remove(m cached) {
	m.segment.frames[m.slot].CompareAndSwap(m.frames, nil)
	c.bytes.Add(-max(0, m.frames.counted.Swap(uncounted)))
}
