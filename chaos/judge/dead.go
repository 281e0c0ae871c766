package judge

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Letter is a dead letter, by what it says about its origin.
type Letter struct {
	Topic     int // how often it had been made anew
	Partition int32
	Offset    int64
	Sum       uint64    // of its own bytes, those that its origin had
	Written   time.Time // when Kafka took it
}

// place is where a record was.
type place struct {
	topic     int
	partition int32
	offset    int64
}

func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(p.topic, q.topic), cmp.Compare(p.partition, q.partition), cmp.Compare(p.offset, q.offset))
}

func (p place) finding(fault Fault) Finding {
	return Finding{Fault: fault, Subscriber: "dead letters", Topic: p.topic, Partition: p.partition, Offset: p.offset}
}

// deadLetters are what was found in the dead-letter topic.
type deadLetters struct {
	expected bool
	seen     map[place][]time.Time // when each letter was written
	repeats  int64
	unrest   []Unrest
}

// Unrest is a time in which partitions may have changed their owner: a repeat within it, or over it, is what
// at least once means.
type Unrest struct{ From, To time.Time }

// ExpectDeadLetters makes a bad record that has no dead letter a finding.
func (j *Judge) ExpectDeadLetters() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.dead.expected = true
}

// Unsettled notes an unrest.
func (j *Judge) Unsettled(u Unrest) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.dead.unrest = append(j.dead.unrest, u)
}

// DeadLettered notes a dead letter. All bad records are acknowledged before.
func (j *Judge) DeadLettered(l Letter) {
	at := place{l.Topic, l.Partition, l.Offset}
	var origin record
	if ledger := j.topics.get(l.Topic); ledger != nil {
		origin = ledger.look(l.Partition, l.Offset, l.Sum)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case origin.kind() != Bad:
		j.findings.add(at.finding(DeadWrongly))
	case !origin.is(l.Sum):
		j.findings.add(at.finding(DeadAltered))
	}
	if j.dead.seen == nil {
		j.dead.seen = map[place][]time.Time{}
	}
	if len(j.dead.seen[at]) > 0 {
		j.dead.repeats++
	}
	j.dead.seen[at] = append(j.dead.seen[at], l.Written)
}

// DeadLetters is how many bad records have a dead letter, and how many letters were repeats.
func (j *Judge) DeadLetters() (records, repeats int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return int64(len(j.dead.seen)), j.dead.repeats
}

// Unrest is for how long, in all, partitions may have changed their owner.
func (j *Judge) Unrest() (all time.Duration) {
	j.mu.Lock()
	defer j.mu.Unlock()
	var end time.Time
	for _, u := range sorted(j.dead.unrest) {
		if from := later(u.From, end); u.To.After(from) {
			all += u.To.Sub(from)
			end = u.To
		}
	}
	return all
}

func sorted(u []Unrest) []Unrest {
	return slices.SortedFunc(slices.Values(u), func(a, b Unrest) int { return a.From.Compare(b.From) })
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// letters adds the bad records that have none, and the letters that were repeated for no reason.
func (j *Judge) letters(f *findings) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.dead.needless(f)
	if !j.dead.expected {
		return
	}
	for topic, l := range j.topics.list() {
		l.mu.RLock()
		for p := range l.parts {
			j.dead.missing(f, place{topic: topic, partition: int32(p)}, l.parts[p].records)
		}
		l.mu.RUnlock()
	}
}

// missing adds those of a partition's bad records that have no letter: the first, and up to where there are more.
func (d *deadLetters) missing(f *findings, at place, records []record) {
	var first, last, n int64
	for o, r := range records {
		at.offset = int64(o)
		if r.kind() != Bad || len(d.seen[at]) > 0 {
			continue
		}
		if last = at.offset; n == 0 {
			first = last
		}
		n++
	}
	at.offset = first
	found := at.finding(NotDeadLettered)
	if n > 1 {
		found.Detail = fmt.Sprintf("and %d more, up to offset %d of %d", n-1, last, len(records))
	}
	f.addMany(found, n)
}

// needless adds each repeat without an unrest since the letter before it.
func (d *deadLetters) needless(f *findings) {
	for _, at := range slices.SortedFunc(maps.Keys(d.seen), place.compare) {
		written := d.seen[at]
		slices.SortFunc(written, time.Time.Compare)
		for i := 1; i < len(written); i++ {
			from, to := written[i-1], written[i].Add(time.Millisecond) // Kafka's times have no parts of it
			if !slices.ContainsFunc(d.unrest, func(u Unrest) bool { return u.From.Before(to) && u.To.After(from) }) {
				found := at.finding(DeadRepeated)
				found.Detail = written[i-1].UTC().Format(clock) + " and " + written[i].UTC().Format(clock)
				f.add(found)
			}
		}
	}
}

const clock = "15:04:05.000"
