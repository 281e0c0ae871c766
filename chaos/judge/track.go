package judge

import (
	"math"
	"sync"
)

// Track is what one subscriber has seen.
type Track struct {
	judge    *Judge
	name     string
	newcomer bool

	mu        sync.Mutex // taken before the ledger's
	parts     []trackColumn
	pending   []sighting // not in the ledger when they were seen
	left      bool
	delivered int64
	repeats   int64
	gaps      int64
	missed    int64
}

// trackColumn is one partition.
type trackColumn struct {
	seen    bitmap
	told    bitmap // in a gap that was told
	begun   bool
	first   int64 // offset seen, where begun
	last    int64 // offset seen in any stream, where begun
	inRound int64 // the offset after the last one of this stream
}

type sighting struct {
	partition int32
	offset    int64
	sum       uint64
}

// Name is the subscriber's.
func (t *Track) Name() string { return t.name }

func (t *Track) column(partition int32) *trackColumn {
	for int(partition) >= len(t.parts) {
		t.parts = append(t.parts, trackColumn{})
	}
	return &t.parts[partition]
}

// Connected notes that a new stream begins.
func (t *Track) Connected() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.parts {
		t.parts[i].inRound = 0
	}
}

// Left notes that the subscriber has gone for good: it is owed nothing behind the last it has seen.
func (t *Track) Left() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.left = true
}

// Saw notes a payment as it came. It reports whether the client's rule keeps it: whether its offset is
// above the last seen of its partition.
func (t *Track) Saw(partition int32, offset int64, sum uint64) bool {
	t.mu.Lock()
	found, fresh := t.saw(partition, offset, sum)
	t.mu.Unlock()
	if found.Fault != "" {
		t.judge.find(found)
	}
	return fresh
}

func (t *Track) saw(partition int32, offset int64, sum uint64) (found Finding, fresh bool) {
	c := t.column(partition)
	fault := Fault("")
	if offset < c.inRound {
		if fault = OutOfOrder; c.seen.has(offset) {
			fault = Duplicate
		}
	}
	c.inRound = max(c.inRound, offset+1)
	if c.begun && offset <= c.last {
		t.repeats++
		return t.finding(fault, partition, offset), false
	}
	if !c.begun {
		c.begun, c.first = true, offset
	}
	c.last = offset
	c.seen.set(offset)
	t.delivered++
	record := t.judge.ledger.look(partition, offset, sum)
	if record == 0 {
		t.pending = append(t.pending, sighting{partition, offset, sum})
		if len(t.pending) >= 1<<14 {
			t.settle()
		}
	} else if wrong := judged(record, sum); wrong != "" {
		fault = wrong
	}
	return t.finding(fault, partition, offset), true
}

// settle looks pending sightings up again, while there are far too many; what is wrong with them is
// found again by the verdict, which they are kept for.
func (t *Track) settle() {
	kept := t.pending[:0]
	for _, s := range t.pending {
		if r := t.judge.ledger.look(s.partition, s.offset, s.sum); r == 0 || judged(r, s.sum) != "" {
			kept = append(kept, s)
		}
	}
	t.pending = kept
}

func (t *Track) finding(fault Fault, partition int32, offset int64) Finding {
	return Finding{Fault: fault, Subscriber: t.name, Partition: partition, Offset: offset}
}

// judged says what is wrong with having seen a record.
func judged(r record, sum uint64) Fault {
	switch r.kind() {
	case Payment, Uncertain:
		if !r.is(sum) {
			return Altered
		}
		return ""
	case Aborted:
		return AbortedShown
	case Bad, Tombstone:
		return BadShown
	case Unknown:
		return NeverSent
	}
	return NeverSent
}

// Told notes a gap that the subscriber was told of: the offsets [from, to).
func (t *Track) Told(partition int32, from, to int64) {
	needless := t.judge.ledger.needless(partition, from, to)
	t.mu.Lock()
	c := t.column(partition)
	c.told.setRange(from, to)
	t.gaps++
	t.missed += t.judge.ledger.inSpan(partition, from, to)
	t.mu.Unlock()
	if needless > 0 {
		t.judge.find(t.finding(NeedlessGap, partition, max(from, 0)))
	}
}

func (t *Track) count(f *Figures) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f.Delivered += t.delivered
	f.Repeats += t.repeats
	f.Gaps += t.gaps
	f.Missed += t.missed
}

// waiting is how many payments the subscriber is owed.
func (t *Track) waiting(m Mark) (n int) {
	t.owed(m, func(_ int32, _ int64, _ *column, missing uint64) { n += ones(missing) })
	return n
}

// owed calls for each word with payments from before a mark that were neither seen nor told.
func (t *Track) owed(m Mark, each func(partition int32, first int64, c *column, missing uint64)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := &t.judge.ledger // locked behind the track, always
	l.mu.RLock()
	defer l.mu.RUnlock()
	for p := range l.parts {
		c, own := &l.parts[p], t.column(int32(p))
		from, to := int64(0), int64(math.MaxInt64)
		if m != nil {
			if p >= len(m) {
				break
			}
			to = m[p]
		}
		if t.newcomer {
			if !own.begun {
				continue
			}
			from = own.first
		}
		if t.left {
			if !own.begun {
				continue
			}
			to = min(to, own.last+1)
		}
		for i, w := range c.payments {
			missing := w &^ own.seen.word(i) &^ own.told.word(i)
			missing = below(missing, i, to) &^ below(^uint64(0), i, from)
			if missing != 0 {
				each(int32(p), int64(i)*64, c, missing)
			}
		}
	}
}

// verdict adds what is missing, and what was seen and never acknowledged.
func (t *Track) verdict(f *findings) {
	t.owed(nil, func(partition int32, first int64, c *column, missing uint64) {
		for i := range int64(64) {
			if missing>>i&1 == 0 {
				continue
			}
			fault := Lost
			if first+i < c.gone {
				fault = UntoldGap
			}
			f.add(t.finding(fault, partition, first+i))
		}
	})
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.pending {
		if fault := judged(t.judge.ledger.look(s.partition, s.offset, s.sum), s.sum); fault != "" {
			f.add(t.finding(fault, s.partition, s.offset))
		}
	}
}
