package broadcast

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Log is the shared log. It is safe for concurrent use; create one with [New].
type Log struct {
	entryBytes int // the part of Limits.Bytes that entries may take
	limits     Limits
	frames     frameCache

	// Published for readers, who take no lock.
	dir  atomic.Pointer[directory]
	low  atomic.Uint64 // the oldest retained position
	last atomic.Uint64 // the oldest position that can still be read: see grace
	head atomic.Uint64 // the position behind the last record; marks behind it are not final

	starts atomic.Pointer[Vector] // where the log began in each partition; replaced, never changed

	readers waiters // for head to move
	movers  waiters // for the newest vector to move
	pace    *pace   // nil where the appender waits for nobody

	index *index // the appender's to change

	mu      sync.Mutex
	texts   texts
	newest  Vector           // where a reader of everything stands
	tail    uint64           // head, before it is published
	marks   map[int32]*entry // marks behind the last record, by partition
	records int
	bytes   int
}

// New returns an empty log.
func New(limits Limits) *Log {
	l := &Log{limits: limits, entryBytes: math.MaxInt, index: newIndex(), marks: map[int32]*entry{}}
	l.frames.allow(maxFrameBytes)
	if limits.Bytes > 0 {
		l.frames.allow(limits.Bytes)
		l.entryBytes = (limits.Bytes - limits.forFrames()) / (grace + 1) * grace
	}
	l.dir.Store(&directory{newSegment(0, nil)})
	l.starts.Store(&Vector{})
	return l
}

// Open says that a partition will be appended from offset on. What lies before it was never in the
// log: a reader that needs it is told so. Opening it again changes nothing.
func (l *Log) Open(partition int32, offset int64) {
	l.open(partition, offset).wake()
}

func (l *Log) open(partition int32, offset int64) woken {
	l.mu.Lock()
	defer l.mu.Unlock()
	starts := l.starts.Load().Clone()
	if int(partition) < len(starts) && starts[partition] >= 0 {
		return woken{}
	}
	for int(partition) >= len(starts) {
		starts = append(starts, -1) // known to exist, not open
	}
	starts[partition] = offset
	l.starts.Store(&starts)
	l.mark(partition, offset)
	return l.publish()
}

// Append adds a batch behind all others and wakes whoever waits. The partition must be open, and
// the batch must begin where the partition's batch before it ended or later. It never waits for a
// subscription.
func (l *Log) Append(b Batch) {
	now := time.Now()
	for len(b.Records) > appendAtOnce {
		some := b
		some.Records, b.Records = b.Records[:appendAtOnce], b.Records[appendAtOnce:]
		some.Next = 0
		l.append(some, now).wake()
	}
	l.append(b, now).wake()
}

// AppendAll is Append of several batches, in this order, each of a partition's next records; readers see them
// together. It is for many batches of a few records each, as a merge of partitions has them: the lock, the
// eviction and the waking are had once for all.
func (l *Log) AppendAll(batches []Batch) {
	l.appendAll(batches, time.Now()).wake()
}

func (l *Log) appendAll(batches []Batch, now time.Time) woken {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range batches {
		l.addAll(&batches[i], now)
	}
	defer l.evict(now) // as in append
	return l.publish()
}

// appendAtOnce bounds how long one append holds the lock, and lets readers see a batch larger than
// the window before its end pushes its beginning out.
const appendAtOnce = segmentEntries

func (l *Log) append(b Batch, now time.Time) woken {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.addAll(&b, now) {
		return woken{}
	}
	defer l.evict(now) // when readers have seen the head: the oldest is never behind it
	return l.publish()
}

// addAll holds mu and adds a batch. It reports false when there is nothing in it.
func (l *Log) addAll(b *Batch, now time.Time) bool {
	arrived := now.Unix()
	for i := range b.Records {
		r := &b.Records[i]
		after := r.Offset + 1
		if i == len(b.Records)-1 {
			after = max(after, b.Next)
		}
		gap := after - r.Offset - 1
		if gap > maxGap {
			gap = 0 // a mark says it
		}
		l.add(b.Partition, r, uint16(gap), since(r, b.Replayed, arrived))
		if gap == 0 && after > r.Offset+1 {
			l.mark(b.Partition, after)
		}
	}
	if len(b.Records) == 0 {
		if b.Next <= l.newest.At(b.Partition) {
			return false
		}
		l.mark(b.Partition, b.Next)
	}
	return true
}

// Gap says that what a partition had from where it stands up to an offset is nowhere any more: readers that
// come there are told so by a [*GapError].
func (l *Log) Gap(partition int32, to int64) {
	now := time.Now()
	add := func() woken {
		l.mu.Lock()
		defer l.mu.Unlock()
		if to <= l.newest.At(partition) {
			return woken{}
		}
		l.gap(partition, to)
		defer l.evict(now) // as in append
		return l.publish()
	}
	add().wake()
}

// Wake wakes whoever waits for more, though nothing has come.
func (l *Log) Wake() { l.readers.take().wake() }

// Newest returns where a reader of everything stands.
func (l *Log) Newest() Vector {
	for {
		head := l.head.Load()
		if v, ok := l.before(head); ok {
			return l.passMarks(v, head)
		}
	}
}

// Oldest returns the oldest vector that a subscription can resume from.
func (l *Log) Oldest() Vector {
	for {
		if v, ok := l.at(l.low.Load()); ok {
			return v
		}
	}
}

// Inside returns a vector that a quarter of what is retained lies before: a subscription that resumes from there is not
// about to fall out.
func (l *Log) Inside() Vector {
	for {
		low := l.low.Load()
		if v, ok := l.at(low + (l.head.Load()-low)/4); ok {
			return v
		}
	}
}

// Stats returns the log's figures.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Stats{Records: l.records, Bytes: l.bytes, FrameBytes: l.frames.size()}
}

// before returns where a reader of everything stands before a position that is not behind the head.
// It reports false when the position has left meanwhile. (A position is loaded before the directory:
// one that is newer than a directory is not in it.)
func (l *Log) before(pos uint64) (Vector, bool) {
	s := l.dir.Load().find(pos)
	if s == nil {
		return nil, false
	}
	return s.vectorAt(pos), true
}

// at is before for those who can go on from there. A partition that was opened behind the position
// begins where it was opened, and not, as the vector there has it, at 0.
func (l *Log) at(pos uint64) (Vector, bool) {
	v, ok := l.before(pos)
	return v.Max(*l.starts.Load()), ok
}

// passMarks moves a vector at a position on over the marks that stand there.
func (l *Log) passMarks(v Vector, pos uint64) Vector {
	dir := *l.dir.Load()
	for _, s := range dir[max(0, dir.index(pos)):] {
		for ; s.base <= pos && pos < s.end(); pos++ {
			e := s.at(pos)
			if e.kind != kindMark {
				return v
			}
			v = v.advance(e.partition, e.after())
		}
	}
	return v
}

// since returns from when a record's age counts.
func since(r *Record, replayed bool, arrived int64) uint32 {
	if t := r.Time / 1000; replayed && t >= 0 && t < arrived {
		return uint32(t)
	}
	return uint32(arrived)
}

// add holds mu and appends a record.
func (l *Log) add(partition int32, r *Record, gap uint16, since uint32) {
	key, value := r.Key, r.Value
	if r.Tombstone {
		value = ""
	}
	keyAt := findKey(key, value)
	if keyAt != keyFirst {
		key = ""
	}
	p := l.place(key, value)
	p.size, p.keySize, p.keyAt = uint32(len(value)), uint32(len(r.Key)), keyAt
	p.time, p.partition, p.since, p.gap, p.label = r.Time, partition, since, gap, r.Label
	p.offset.set(r.Offset)
	if r.Tombstone {
		p.kind = kindTombstone
	} else {
		l.records++
	}
	l.supersede(p)
	l.moved(p, r.Offset+1+int64(gap))
}

// mark holds mu and moves a partition on without a record. As long as no record stands behind it,
// a partition's mark is moved on in place, so that marks stay few, and readers do not come to it.
func (l *Log) mark(partition int32, after int64) {
	l.newest = l.newest.advance(partition, after)
	if e := l.marks[partition]; e != nil {
		e.offset.Store(after)
		for _, s := range slices.Backward(*l.dir.Load()) {
			if s.base <= l.tail {
				break
			}
			s.start = s.start.advance(partition, after) // no reader has come to it
		}
		return
	}
	p := l.place("", "")
	p.kind, p.partition, p.since = kindMark, partition, uint32(time.Now().Unix())
	p.offset.set(after)
	l.marks[partition] = p.entry
}

// gap holds mu and adds that a partition goes on at an offset, what lies before it being lost.
func (l *Log) gap(partition int32, to int64) {
	from := l.newest.At(partition)
	p := l.place("", "")
	p.kind, p.partition, p.since, p.time = kindGap, partition, uint32(time.Now().Unix()), to
	p.offset.set(from)
	l.moved(p, to)
}

// moved holds mu and moves the log on behind p, and its partition on to an offset.
func (l *Log) moved(p placed, after int64) {
	l.newest = l.newest.advance(p.partition, after)
	if len(l.marks) > 0 {
		clear(l.marks)
	}
	l.tail = p.pos + 1
}

// place holds mu and returns the next free entry, with a copy of its text, in a new segment where the
// newest is full.
func (l *Log) place(key, value string) placed {
	size := len(key) + len(value)
	chunk := l.texts.room(size)
	dir := *l.dir.Load()
	s := dir[len(dir)-1]
	if n := s.filled; n == segmentEntries || (n > 0 && size > 0 && (s.bytes+size > segmentBytes || !s.hasRoom(chunk))) {
		s.n.Store(n)
		s = newSegment(s.end(), l.newest.Clone())
		l.dir.Store(dir.with(s))
	}
	e := &s.entries[s.filled]
	pos := s.base + uint64(s.filled)
	s.filled++
	if size > 0 {
		e.chunk, e.text = s.number(chunk), uint32(len(chunk))
		l.texts.write(chunk, key, value)
	}
	s.bytes += size
	l.bytes += size + entryOverhead
	return placed{e, s, pos}
}

// publish holds mu and shows readers the new head. It returns those who have waited for that, to be
// woken when mu is no longer held.
func (l *Log) publish() woken {
	var w woken
	dir := *l.dir.Load()
	newest := dir[len(dir)-1]
	newest.n.Store(newest.filled)
	if l.head.Load() != l.tail {
		l.head.Store(l.tail)
		w.readers = l.readers.take()
	}
	w.movers = l.movers.take()
	return w
}

// woken are those to be woken after an append.
type woken struct{ readers, movers *group }

func (w woken) wake() {
	w.readers.wake()
	w.movers.wake()
}
