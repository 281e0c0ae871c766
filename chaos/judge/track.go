package judge

import "sync"

// Track is what one subscriber has seen.
type Track struct {
	judge    *Judge
	name     string
	newcomer bool
	sample   bool // with a filter
	begin    int  // the topic that it began with

	mu        sync.Mutex // taken before the ledger's
	topic     int        // what its cursor is of
	unknown   bool       // it has none: the next payment says what the stream is of
	parts     [][]trackColumn
	pending   []sighting // not in the ledger when they were seen
	left      bool
	delivered int64
	repeats   int64
	gaps      int64
	missed    int64
	anew      int64
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
	topic     int
	partition int32
	offset    int64
	sum       uint64
}

// Name is the subscriber's.
func (t *Track) Name() string { return t.name }

func (t *Track) column(topic int, partition int32) *trackColumn {
	for topic >= len(t.parts) {
		t.parts = append(t.parts, nil)
	}
	for int(partition) >= len(t.parts[topic]) {
		t.parts[topic] = append(t.parts[topic], trackColumn{})
	}
	return &t.parts[topic][partition]
}

// Connected notes that a new stream begins.
func (t *Track) Connected() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, parts := range t.parts {
		for i := range parts {
			parts[i].inRound = 0
		}
	}
}

// OtherTopic notes that the subscriber was told that its cursor is of another topic. It goes on without one,
// from the first record on. That is as it should be when its cursor is of a topic that has been deleted.
func (t *Track) OtherTopic(why string) {
	t.mu.Lock()
	newest, _ := t.judge.topics.newest()
	refused := t.topic == newest
	t.unknown = true
	if !refused {
		t.anew++
	}
	t.mu.Unlock()
	if refused {
		t.judge.Refuse(t.name, why)
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
	newest, _ := t.judge.topics.newest()
	if t.unknown {
		// A gateway that has not noticed yet shows the old topic, to those as well who were told by another.
		if t.topic = t.judge.topics.holding(partition, offset, sum); t.topic < 0 {
			t.topic = newest
		}
		t.unknown = false
	}
	record := t.judge.topics.get(t.topic).look(partition, offset, sum)
	if t.topic < newest && !record.is(sum) {
		return t.finding(OtherTopic, t.topic, partition, offset), false
	}
	c := t.column(t.topic, partition)
	fault := Fault("")
	if offset < c.inRound {
		if fault = OutOfOrder; c.seen.has(offset) {
			fault = Duplicate
		}
	}
	c.inRound = max(c.inRound, offset+1)
	at := sighting{t.topic, partition, offset, sum}
	if c.begun && offset <= c.last {
		t.repeats++
		if record != 0 && t.judge.wrong(at) == OtherTopic {
			fault = OtherTopic
		}
		return t.finding(fault, t.topic, partition, offset), false
	}
	if !c.begun {
		c.begun, c.first = true, offset
	}
	c.last = offset
	c.seen.set(offset)
	t.delivered++
	if record == 0 {
		t.pending = append(t.pending, at)
		if len(t.pending) >= 1<<14 {
			t.settle()
		}
	} else if wrong := judged(record, sum); wrong != "" {
		fault = t.judge.wrong(at)
	}
	return t.finding(fault, t.topic, partition, offset), true
}

// settle looks pending sightings up again, while there are far too many; what is wrong with them is
// found again by the verdict, which they are kept for.
func (t *Track) settle() {
	kept := t.pending[:0]
	for _, s := range t.pending {
		if t.judge.wrong(s) != "" {
			kept = append(kept, s)
		}
	}
	t.pending = kept
}

func (t *Track) finding(fault Fault, topic int, partition int32, offset int64) Finding {
	return Finding{Fault: fault, Subscriber: t.name, Topic: topic, Partition: partition, Offset: offset}
}

// wrong says what is wrong with having seen something, by what is known now.
func (j *Judge) wrong(s sighting) Fault {
	fault := judged(j.topics.get(s.topic).look(s.partition, s.offset, s.sum), s.sum)
	if fault == Altered || fault == NeverSent {
		if other := j.topics.holding(s.partition, s.offset, s.sum); other >= 0 && other != s.topic {
			return OtherTopic
		}
	}
	return fault
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
	t.mu.Lock()
	topic, l := t.topic, t.judge.topics.get(t.topic)
	needless := l.needless(partition, from, to)
	c := t.column(topic, partition)
	c.told.setRange(from, to)
	t.gaps++
	t.missed += l.inSpan(partition, from, to)
	t.mu.Unlock()
	if needless > 0 {
		t.judge.find(t.finding(NeedlessGap, topic, partition, max(from, 0)))
	}
}

func (t *Track) count(f *Figures) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f.Delivered += t.delivered
	f.Repeats += t.repeats
	f.Gaps += t.gaps
	f.Missed += t.missed
	f.Anew += t.anew
}
