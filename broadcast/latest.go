package broadcast

import (
	"context"
	"math"
	"slices"
)

// The log is also the store: an index leads from a key to its newest entry, an entry to the key's
// entry before it, and each entry knows what superseded it in its partition. So "the latest states
// as of a vector" needs no second copy: it is a walk that skips what was superseded before that.

// Get returns a key's latest retained state: the record with the greatest offset of its partition,
// or, where the key stands in several partitions, the one of those with the greatest (Time,
// Partition). It reports false for a key not retained, or forgotten by a tombstone.
func (l *Log) Get(key string) (Entry, bool) {
	e := l.latest(key, nil)
	if e == nil || e.kind != kindRecord {
		return Entry{}, false
	}
	return e.public(), true
}

// Page returns up to limit latest states as of snapshot, or as many as have about maxBytes, the newest
// position first, of those before at, and where the next page goes on. more reports whether there is one. Logs that hold the same
// records in another order of partitions share the walk without a loss or a repeat.
func (l *Log) Page(at, snapshot Vector, filter Filter, limit, maxBytes int) (page []Entry, next Vector, more bool) {
	next = at.Clone()
	bytes := 0
	for e := range l.backward(l.head.Load()) {
		if e.kind != kindRecord || e.offset >= at.At(e.partition) ||
			!filter.Matches(e.label) || !l.latestAsOf(e, snapshot) {
			continue
		}
		if len(page) == limit || (bytes > 0 && bytes+len(e.value) > maxBytes) {
			return page, next, true
		}
		bytes += len(e.value)
		page = append(page, e.public())
		next[e.partition] = e.offset
	}
	return page, next, false
}

// Count returns how many latest states there are as of snapshot.
func (l *Log) Count(snapshot Vector, filter Filter) int {
	n := 0
	for e := range l.backward(l.head.Load()) {
		if e.kind == kindRecord && filter.Matches(e.label) && l.latestAsOf(e, snapshot) {
			n++
		}
	}
	return n
}

// WaitFor waits until the log has come as far as v.
func (l *Log) WaitFor(ctx context.Context, v Vector) error {
	for {
		moved := l.movers.wait()
		if l.Newest().Covers(v) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-moved:
		}
	}
}

func (e *entry) public() Entry {
	return Entry{
		Key: e.key, Value: e.value, Partition: e.partition, Offset: e.offset, Time: e.time, Label: e.label,
	}
}

// before reports whether e is part of a snapshot; all of them are in the nil one.
func (e *entry) before(snapshot Vector) bool {
	return snapshot == nil || e.offset < snapshot.At(e.partition)
}

// supersede holds mu and enters e, which will stand at pos, into the index and into the chain of
// its key.
func (l *Log) supersede(e *entry, pos uint64) {
	newest, ok := l.index[e.key]
	l.index[e.key] = pos
	if !ok {
		return
	}
	e.prev = newest + 1
	last := l.entry(newest)
	if last.partition == e.partition && !last.scattered.Load() {
		last.successor.Store(e.offset)
		return
	}
	// The key stands in several partitions: rare, since a producer places a key by its hash, so
	// what it costs may grow with the number of the key's entries.
	e.scattered.Store(true)
	for c := range l.chain(newest) {
		c.scattered.Store(true)
		if c.partition == e.partition && c.successor.Load() == 0 {
			c.successor.Store(e.offset)
			break
		}
	}
}

// latestAsOf reports whether e is the latest state of its key as of snapshot, e being in it.
func (l *Log) latestAsOf(e *entry, snapshot Vector) bool {
	if !e.before(snapshot) {
		return false
	}
	if s := e.successor.Load(); s != 0 && s < snapshot.At(e.partition) {
		return false
	}
	return !e.scattered.Load() || l.latest(e.key, snapshot) == e
}

// latest returns a key's latest entry as of snapshot (nil is now), a tombstone too, or nil.
func (l *Log) latest(key string, snapshot Vector) *entry {
	l.mu.RLock()
	newest, ok := l.index[key]
	l.mu.RUnlock()
	if !ok {
		return nil
	}
	var best *entry
	var seen []int32
	for e := range l.chain(newest) {
		if !e.before(snapshot) || slices.Contains(seen, e.partition) {
			continue
		}
		if best == nil || e.time > best.time || (e.time == best.time && e.partition > best.partition) {
			best = e
		}
		if !e.scattered.Load() {
			break // the rest stands in the same partition, before it
		}
		seen = append(seen, e.partition)
	}
	return best
}

// chain yields a key's retained entries from pos back.
func (l *Log) chain(pos uint64) func(yield func(*entry) bool) {
	return func(yield func(*entry) bool) {
		for {
			e := l.entry(pos)
			if e == nil || !yield(e) || e.prev == 0 {
				return
			}
			pos = e.prev - 1
		}
	}
}

// entry returns the entry at a position, or nil when it is not retained.
func (l *Log) entry(pos uint64) *entry {
	if pos < l.low.Load() {
		return nil
	}
	s := l.dir.Load().find(pos)
	if s == nil {
		return nil
	}
	return s.at(pos)
}

// backward yields the retained entries before pos, the newest first.
func (l *Log) backward(pos uint64) func(yield func(*entry) bool) {
	return func(yield func(*entry) bool) {
		_ = l.positionsBackward(pos, func(_ uint64, e *entry) bool { return yield(e) })
	}
}

// positionsBackward calls yield for the retained entries before pos, the newest first, until it
// returns false, and returns the last position it was called with; MaxUint64 is none.
func (l *Log) positionsBackward(pos uint64, yield func(uint64, *entry) bool) uint64 {
	last := uint64(math.MaxUint64)
	for _, s := range slices.Backward(*l.dir.Load()) {
		for pos = min(pos, s.end()); pos > s.base; pos-- {
			if pos-1 < l.low.Load() {
				return last
			}
			last = pos - 1
			if !yield(last, s.at(last)) {
				return last
			}
		}
	}
	return last
}
