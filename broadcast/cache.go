package broadcast

import (
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"
)

// maxFrameBytes is what frames may take, over all views, whatever else the log holds; where its bytes have
// a limit, at most a quarter of that.
const maxFrameBytes = 16 << 20

// frameCache keeps the rendered frames of all views within a budget, dropping the oldest made first,
// but never those of the newest segment, which nearly all readers share.
//
// The budget is maxFrameBytes, or what the retained entries leave of the log's limit, where that is more.
// Where all fit, each is rendered once, however far its readers are apart. Of 78 MB, read by 100 with the
// last at 0.9 of the first one's speed, 16 MiB are enough for that; with speeds of one to ten and 33 MiB
// each is rendered 16 times (BenchmarkFrameCache).
type frameCache struct {
	budget atomic.Int64
	bytes  atomic.Int64

	mu   sync.Mutex
	made []*frames
}

// uncounted marks frames that are not in the cache.
const uncounted = -1

func (c *frameCache) size() int { return int(c.bytes.Load()) }

// allow sets the budget.
func (c *frameCache) allow(bytes int) {
	c.budget.Store(int64(bytes))
	if c.exceeded() {
		c.shrink()
	}
}

func (c *frameCache) exceeded() bool { return c.bytes.Load() > c.budget.Load() }

// grow counts n bytes more for f, unless f is not in the cache.
func (c *frameCache) grow(f *frames, n int64) {
	for counted := f.counted.Load(); counted != uncounted; counted = f.counted.Load() {
		if f.counted.CompareAndSwap(counted, counted+n) {
			c.bytes.Add(n)
			if c.exceeded() {
				c.shrink()
			}
			return
		}
	}
}

// add enters new frames, unless others were faster, and returns those that are to be used. Where the
// segment has left the log meanwhile they are the caller's alone.
func (c *frameCache) add(f *frames) *frames {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := f.segment
	if other := s.find(f.view, f.filter); other != nil {
		return other
	}
	if s.end() <= f.log.last.Load() { // with mu held: what leaves behind this is dropped behind it
		f.counted.Store(uncounted)
		return f
	}
	s.setFrames(append(slices.Clone(s.allFrames()), f))
	c.made = append(c.made, f)
	f.counted.Store(int64(unsafe.Sizeof(*f)))
	c.bytes.Add(int64(unsafe.Sizeof(*f)))
	return f
}

// shrink drops frames until the budget holds.
func (c *frameCache) shrink() {
	c.mu.Lock()
	defer c.mu.Unlock()
	newest := uint64(0)
	for _, f := range c.made {
		newest = max(newest, f.segment.base)
	}
	c.made = slices.DeleteFunc(c.made, func(f *frames) bool {
		if !c.exceeded() || f.segment.base == newest {
			return false
		}
		c.remove(f)
		return true
	})
}

// drop forgets the frames of segments that have left the log.
func (c *frameCache) drop(gone []*segment) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.made = slices.DeleteFunc(c.made, func(f *frames) bool {
		if !slices.Contains(gone, f.segment) {
			return false
		}
		c.remove(f)
		return true
	})
}

// remove holds mu. Readers that hold the frames go on with them; nobody finds them any more.
func (c *frameCache) remove(f *frames) {
	f.segment.setFrames(slices.DeleteFunc(slices.Clone(f.segment.allFrames()), func(other *frames) bool { return other == f }))
	c.bytes.Add(-max(0, f.counted.Swap(uncounted)))
}
