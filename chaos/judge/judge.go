// Package judge compares what Kafka has acknowledged with what each subscriber has seen.
//
// It is pure: it knows neither Kafka nor gateways, starts no goroutine, and its verdict depends on what
// it was told alone. What it guarantees:
//
//   - Nothing is assumed: a payment that is not in the ledger when it is seen is looked up again until
//     the verdict, and then either acknowledged or a finding.
//   - It does not trust the client: it sees the events of each stream as they come, before the client's
//     rule drops any.
//   - A topic that is made anew is another one: its offsets begin again, all of it is owed again, and who
//     still reads the old one's has to be told before anything of the new one is shown.
//   - Memory: a bit for each payment and subscriber, eight bytes for each record.
package judge

import (
	"fmt"
	"slices"
	"sync"
)

// Kind is what a record is.
type Kind uint8

// The kinds of records. What is Uncertain may be seen or not: its producer had no answer.
const (
	Unknown Kind = iota
	Payment
	Aborted
	Bad
	Tombstone
	Uncertain
)

// Fault is what can be wrong.
type Fault string

// The faults.
const (
	Lost            Fault = "lost"
	OutOfOrder      Fault = "out of order"
	Duplicate       Fault = "twice in one stream"
	Altered         Fault = "not what Kafka has at this offset"
	NeverSent       Fault = "never acknowledged"
	AbortedShown    Fault = "of an aborted transaction"
	BadShown        Fault = "bad record shown"
	UntoldGap       Fault = "gap not told"
	NeedlessGap     Fault = "gap told of what Kafka still has"
	Refused         Fault = "refused for good"
	OtherTopic      Fault = "of another topic than the cursor's"
	NotDeadLettered Fault = "bad record not in the dead letters"
	DeadAltered     Fault = "dead letter with other bytes"
	DeadWrongly     Fault = "dead letter of no bad record"
	DeadRepeated    Fault = "dead letter repeated without a change of owner"
)

// Finding is one thing that is wrong.
type Finding struct {
	Fault      Fault
	Subscriber string
	Topic      int // how often it had been made anew
	Partition  int32
	Offset     int64
	Detail     string
}

func (f Finding) String() string {
	s := fmt.Sprintf("%s: %s, partition %d, offset %d", f.Subscriber, f.Fault, f.Partition, f.Offset)
	if f.Topic > 0 {
		s += fmt.Sprintf(" of the topic made anew (%d)", f.Topic)
	}
	if f.Detail != "" {
		s += " (" + f.Detail + ")"
	}
	return s
}

// Judge holds what was acknowledged, and a track for each subscriber. Its methods may be called by
// several goroutines.
type Judge struct {
	topics topics

	mu       sync.Mutex // guards what follows; taken before a track's, never behind
	tracks   []*Track
	findings findings
	dead     deadLetters
}

// New returns a judge who has heard nothing.
func New() *Judge {
	j := &Judge{}
	j.topics.add()
	return j
}

// Acknowledged notes a record that Kafka has. sum identifies its content; of a bad record it is made
// of all bytes, and may be 0 otherwise.
func (j *Judge) Acknowledged(partition int32, offset int64, kind Kind, sum uint64) {
	_, l := j.topics.newest()
	l.add(partition, offset, kind, sum)
}

// Stray notes a record whose offset is not known: nobody may see an Aborted one, anybody an Uncertain one.
func (j *Judge) Stray(kind Kind, sum uint64) {
	_, l := j.topics.newest()
	l.stray(kind, sum)
}

// Gone notes, before it is done, that Kafka is made to forget what is before an offset.
func (j *Judge) Gone(partition int32, before int64) {
	_, l := j.topics.newest()
	l.forget(partition, before)
}

// Anew notes, before it is done, that the topic is deleted and made anew: what is acknowledged from now on is
// the new one's. Of the old one all is still owed: who deletes it waits first until everybody has it.
func (j *Judge) Anew() { j.topics.add() }

// Subscriber returns the track of a subscriber that begins before the first record of the present topic.
func (j *Judge) Subscriber(name string) *Track { return j.track(name, false) }

// Newcomer returns the track of one that begins somewhere: of each partition it is owed what follows
// the first payment that it sees.
func (j *Judge) Newcomer(name string) *Track { return j.track(name, true) }

// Sampler returns the track of a newcomer with a filter: what it is owed is not known, but all that it sees is judged.
func (j *Judge) Sampler(name string) *Track {
	t := j.track(name, true)
	t.sample = true
	return t
}

func (j *Judge) track(name string, newcomer bool) *Track {
	newest, _ := j.topics.newest()
	t := &Track{judge: j, name: name, newcomer: newcomer, begin: newest, topic: newest}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.tracks = append(j.tracks, t)
	return t
}

// Mark is a moment: the offsets that were known of each partition, by topic.
type Mark [][]int64

// Mark returns the present one.
func (j *Judge) Mark() Mark {
	var m Mark
	for _, l := range j.topics.list() {
		m = append(m, l.mark())
	}
	return m
}

// Waiting is how many payments from before a mark, summed over the subscribers, were neither seen nor
// told to be gone; nil is no mark. When nothing more comes, it is what was lost.
func (j *Judge) Waiting(m Mark) int {
	n := 0
	for _, t := range j.all() {
		n += t.waiting(m)
	}
	return n
}

// Refuse notes that a subscriber was told that it need not come back.
func (j *Judge) Refuse(name, why string) {
	j.find(Finding{Fault: Refused, Subscriber: name, Partition: -1, Offset: -1, Detail: why})
}

// Figures are what there was so far.
type Figures struct {
	Payments, Aborted, Bad, Tombstones int64 // acknowledged
	Delivered                          int64 // to all subscribers, without repeats
	Repeats                            int64 // dropped by the client's rule
	Gaps                               int64 // told
	Missed                             int64 // payments in told gaps
	Anew                               int64 // cursors refused since the topic was another
	Findings                           int64
}

// Figures returns the counts up to now.
func (j *Judge) Figures() Figures {
	var f Figures
	for _, l := range j.topics.list() {
		l.count(&f)
	}
	for _, t := range j.all() {
		t.count(&f)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	f.Findings = j.findings.total()
	return f
}

// Verdict is everything that is wrong, when nothing more is to come.
type Verdict struct {
	Counts   map[Fault]int64
	Examples []Finding // the first few of each fault
}

// Clean reports whether nothing is.
func (v Verdict) Clean() bool { return len(v.Counts) == 0 }

// Verdict judges what is missing as well. It may be called again.
func (j *Judge) Verdict() Verdict {
	tracks := j.all()
	j.mu.Lock()
	f := j.findings.clone()
	j.mu.Unlock()
	for _, t := range tracks {
		t.verdict(&f)
	}
	j.letters(&f)
	return Verdict{Counts: f.counts, Examples: f.examples}
}

func (j *Judge) all() []*Track {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clip(j.tracks)
}

func (j *Judge) find(f Finding) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.findings.add(f)
}
