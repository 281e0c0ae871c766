package broadcast

import (
	"context"
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
	if e.entry == nil || e.kind != kindRecord {
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
		if e.kind != kindRecord || !e.before(at) ||
			!filter.Matches(e.label) || !l.latestAsOf(e, snapshot) {
			continue
		}
		if len(page) == limit || (bytes > 0 && bytes+int(e.size) > maxBytes) {
			return page, next, true
		}
		bytes += int(e.size)
		page = append(page, e.public())
		next[e.partition] = e.offset.Load()
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

// supersede holds mu and enters p into the index and into the chain of its key.
func (l *Log) supersede(p placed) {
	key := p.key()
	hash := l.index.hash(key)
	p.tag = tag(hash)
	old, before := l.lookUp(key, hash)
	if old.entry != nil {
		p.prev = uint32(p.pos - old.pos)
		if _, inSeveral := old.successor(); old.partition == p.partition && !inSeveral {
			old.succeed(p.offset.Load())
		} else {
			l.scatter(p, old)
		}
	}
	l.enter(p, hash, old, before)
}

// scatter holds mu and says of p, and of old and the key's entries before it, that the key stands in
// several partitions: rare, since a producer places a key by its hash, so what it costs may grow with
// the number of the key's entries.
func (l *Log) scatter(p, old placed) {
	p.scatter()
	for c := range l.chain(old) {
		c.scatter()
		if next, _ := c.successor(); c.partition == p.partition && next == 0 {
			c.succeed(p.offset.Load())
			return
		}
	}
}

// isNewest holds mu and reports whether p is the newest entry of its key.
func (l *Log) isNewest(p placed) bool {
	next, inSeveral := p.successor()
	if next != 0 || !inSeveral {
		return next == 0
	}
	key := p.key()
	newest, _ := l.lookUp(key, l.index.hash(key))
	return newest.entry == p.entry
}

// latestAsOf reports whether p is the latest state of its key as of snapshot, p being in it.
func (l *Log) latestAsOf(p placed, snapshot Vector) bool {
	if !p.before(snapshot) {
		return false
	}
	next, inSeveral := p.successor()
	switch {
	case next != 0 && next != farther && p.offset.Load()+next < snapshot.At(p.partition):
		return false
	case inSeveral || next == farther:
		return l.latest(p.key(), snapshot).entry == p.entry
	}
	return true
}

// latest returns a key's latest entry as of snapshot (nil is now), a tombstone too, or none.
func (l *Log) latest(key string, snapshot Vector) placed {
	var best placed
	var seen []int32
	for e := range l.chain(l.newestOf(key)) {
		if !e.before(snapshot) || slices.Contains(seen, e.partition) {
			continue
		}
		if best.entry == nil || e.time > best.time || (e.time == best.time && e.partition > best.partition) {
			best = e
		}
		if _, inSeveral := e.successor(); !inSeveral {
			break // the rest stands in the same partition, before it
		}
		seen = append(seen, e.partition)
	}
	return best
}

// chain yields a key's retained entries from p, which may be none, back.
func (l *Log) chain(p placed) func(yield func(placed) bool) {
	return func(yield func(placed) bool) {
		for p.entry != nil && yield(p) {
			p = l.back(p, p.prev)
		}
	}
}

// retained returns the entry at a position, or none when it is not retained.
func (l *Log) retained(pos uint64) placed {
	if pos < l.low.Load() {
		return placed{}
	}
	s := l.dir.Load().find(pos)
	if s == nil {
		return placed{}
	}
	return s.placed(pos)
}

// backward yields the retained entries before pos, the newest first.
func (l *Log) backward(pos uint64) func(yield func(placed) bool) {
	return func(yield func(placed) bool) {
		for _, s := range slices.Backward(*l.dir.Load()) {
			for pos = min(pos, s.end()); pos > s.base; pos-- {
				if pos-1 < l.low.Load() || !yield(s.placed(pos-1)) {
					return
				}
			}
		}
	}
}
