package judge

import "sync"

// printBits are those of a sum that are kept; the kind stands above them.
const printBits = 61

// record is what is known of an offset: a kind and a sum of the content.
type record uint64

func newRecord(kind Kind, sum uint64) record {
	return record(uint64(kind)<<printBits | sum&(1<<printBits-1))
}

func (r record) kind() Kind { return Kind(r >> printBits) }

func (r record) is(sum uint64) bool { return uint64(r)<<(64-printBits) == sum<<(64-printBits) }

// sum is the part of it that is kept.
func (r record) sum() uint64 { return uint64(r) & (1<<printBits - 1) }

// ledger is what Kafka has of a topic.
type ledger struct {
	mu     sync.RWMutex
	parts  []column
	strays map[uint64]Kind // by sum
	counts [Uncertain + 1]int64
}

// column is one partition.
type column struct {
	records  []record // by offset
	payments bitmap   // which of them are to be seen
	gone     int64    // what is before it, Kafka was made to forget
}

func (l *ledger) column(partition int32) *column {
	for int(partition) >= len(l.parts) {
		l.parts = append(l.parts, column{})
	}
	return &l.parts[partition]
}

func (l *ledger) add(partition int32, offset int64, kind Kind, sum uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.column(partition)
	for int64(len(c.records)) <= offset {
		c.records = append(c.records, 0)
	}
	c.records[offset] = newRecord(kind, sum)
	if kind == Payment {
		c.payments.set(offset)
	}
	l.counts[kind]++
}

func (l *ledger) stray(kind Kind, sum uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.strays[newRecord(0, sum).sum()] = kind
}

func (l *ledger) forget(partition int32, before int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.column(partition)
	c.gone = max(c.gone, before)
}

// look returns what is known of an offset, or of a sum where the offset is not known.
func (l *ledger) look(partition int32, offset int64, sum uint64) record {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if int(partition) < len(l.parts) && offset >= 0 && offset < int64(len(l.parts[partition].records)) {
		if r := l.parts[partition].records[offset]; r != 0 {
			return r
		}
	}
	if kind, ok := l.strays[newRecord(0, sum).sum()]; ok {
		return newRecord(kind, sum)
	}
	return 0
}

// needless counts the payments of a span that Kafka still has.
func (l *ledger) needless(partition int32, from, to int64) int64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if int(partition) >= len(l.parts) {
		return 0
	}
	c := &l.parts[partition]
	return c.payments.count(max(from, c.gone), to)
}

// inSpan counts the payments of a span.
func (l *ledger) inSpan(partition int32, from, to int64) int64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if int(partition) >= len(l.parts) {
		return 0
	}
	return l.parts[partition].payments.count(from, to)
}

// mark is the end of each partition.
func (l *ledger) mark() []int64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	m := make([]int64, len(l.parts))
	for p := range l.parts {
		m[p] = int64(len(l.parts[p].records))
	}
	return m
}

func (l *ledger) count(f *Figures) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	f.Payments += l.counts[Payment]
	f.Aborted += l.counts[Aborted]
	f.Bad += l.counts[Bad]
	f.Tombstones += l.counts[Tombstone]
}
