package broadcast

import "time"

// entryOverhead is what a retained entry costs beside its text: 56 bytes of its own, 8 in the index of
// keys, and its parts of the segment and of what chunks leave unused.
const entryOverhead = 68

// grace is the part of the retained entries, one in so many, that stays readable behind the oldest
// one. A reader that is told the oldest vector would else find, once it is back, that it has left.
const grace = 8

// Expire drops what has become too old. Appends do so too; it is for a log that stands still.
func (l *Log) Expire(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.evict(now)
}

// evict holds mu and drops the oldest entries until the limits hold.
func (l *Log) evict(now time.Time) {
	dir := *l.dir.Load()
	low := l.low.Load()
	for low < l.tail {
		// Marks leave with the record behind them: alone they keep nothing.
		pos := low
		s := dir.find(pos)
		for s.at(pos).kind == kindMark {
			if pos++; pos == s.end() {
				s = dir.find(pos)
			}
		}
		e := s.placed(pos)
		if !l.exceeded(e.entry, now, pos+1 == l.tail) {
			break
		}
		if e.kind != kindGap && l.isNewest(e) { // a gap has no key
			l.leave()
		}
		if e.kind == kindRecord {
			l.records--
		}
		l.bytes -= e.weight() + entryOverhead*int(pos-low+1)
		low = pos + 1
	}
	last := low - min(low, (l.tail-low)/grace)
	i := 0
	for i < len(dir)-1 && dir[i].end() <= last {
		i++
	}
	l.low.Store(low)
	l.last.Store(max(last, l.last.Load()))
	if i > 0 {
		l.dir.Store(dir.from(i))
		l.frames.drop(dir[:i])
	}
	if l.limits.Bytes > 0 { // what is readable behind the oldest entry is not in l.bytes
		l.frames.allow(max(l.limits.forFrames(), l.limits.Bytes-l.bytes/grace*(grace+1)))
	}
}

// exceeded holds mu and reports whether the oldest record has to go. The newest one goes for its
// age alone: a record larger than all bytes allowed would else be shown to nobody.
func (l *Log) exceeded(oldest *entry, now time.Time, isNewest bool) bool {
	if l.limits.Records > 0 && l.records > l.limits.Records {
		return true
	}
	if l.bytes > l.entryBytes && !isNewest {
		return true
	}
	return l.limits.Age > 0 && now.Unix()-int64(oldest.since) > int64(l.limits.Age/time.Second)
}
