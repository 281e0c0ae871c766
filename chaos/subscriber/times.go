package subscriber

import (
	"sync"
	"time"
)

// Span is a time in which nothing came.
type Span struct{ From, To time.Time }

// Length is how long it was.
func (s Span) Length() time.Duration { return s.To.Sub(s.From) }

// Times are when payments came: the longest silence since Reset, over all partitions and in each. A
// silence that still lasts is in it.
type Times struct {
	mu    sync.Mutex
	all   clock
	parts []clock
}

type clock struct {
	last    time.Time
	longest Span
}

func (c *clock) tick(now time.Time) {
	if !c.last.IsZero() && now.Sub(c.last) > c.longest.Length() {
		c.longest = Span{c.last, now}
	}
}

func (t *Times) saw(partition int32) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	for int(partition) >= len(t.parts) {
		t.parts = append(t.parts, clock{last: now})
	}
	for _, c := range []*clock{&t.all, &t.parts[partition]} {
		c.tick(now)
		c.last = now
	}
}

// Reset forgets the silences up to now.
func (t *Times) Reset() {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all = clock{last: now}
	for p := range t.parts {
		t.parts[p] = clock{last: now}
	}
}

// Longest is the longest silence over all partitions.
func (t *Times) Longest() Span {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all.tick(time.Now())
	return t.all.longest
}

// LongestOf is the longest silence of one partition.
func (t *Times) LongestOf(partition int32) Span {
	t.mu.Lock()
	defer t.mu.Unlock()
	if int(partition) >= len(t.parts) {
		return Span{}
	}
	t.parts[partition].tick(time.Now())
	return t.parts[partition].longest
}
