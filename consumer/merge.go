package consumer

import (
	"container/heap"
	"math"

	"paystream/broadcast"
)

// runRecords bounds what is appended at once of what is merged.
const runRecords = 256

// merge puts what was read of several partitions into the order of Kafka's times.
type merge struct {
	queues []*queue
	// append is given what comes next, each batch a partition's next records. It is valid until append returns.
	append func([]broadcast.Batch)
	// passed is told that all records of a queue have been appended.
	passed func(*queue)

	runs   []broadcast.Batch // merged and not appended
	merged int               // the records in them
}

// queue is a partition that is being read to be merged.
type queue struct {
	partition int32
	at, end   int64 // where to fetch next, and where to stop
	encoder   *encoder

	memory  []broadcast.Record // of what the last fetch brought
	records []broadcast.Record // of that, what is not appended
	// late is what a fetch brought of what came after the end.
	late broadcast.Batch
	done bool
}

// encode makes log records of Kafka's, in the memory of the last fetch, of which nothing is left.
func (q *queue) encode(records []record) []broadcast.Record {
	q.encoder.reuse(math.MaxInt)
	encoded := q.encoder.encode(q.memory[:0], q.partition, records)
	clear(encoded[len(encoded):cap(encoded)])
	q.memory = encoded
	return encoded
}

// empty returns the queues that are to be read on before there can be more to merge.
func (m *merge) empty() []*queue {
	var list []*queue
	for _, q := range m.queues {
		if !q.done && len(q.records) == 0 {
			list = append(list, q)
		}
	}
	return list
}

// run appends by time until a queue that is to be read on is empty, or all are.
func (m *merge) run() {
	h := make(byTime, 0, len(m.queues))
	for _, q := range m.queues {
		if len(q.records) > 0 {
			h = append(h, q)
		}
	}
	heap.Init(&h)
	for len(h) > 0 {
		q := h[0]
		n := h.run()
		m.runs = append(m.runs, broadcast.Batch{Partition: q.partition, Records: q.records[:n], Next: q.records[n-1].Offset + 1, Replayed: true})
		q.records = q.records[n:]
		if m.merged += n; m.merged >= runRecords {
			m.flush()
		}
		if len(q.records) > 0 {
			heap.Fix(&h, 0)
			continue
		}
		m.flush()
		m.passed(q)
		if !q.done {
			return
		}
		heap.Pop(&h)
	}
}

// flush appends what has been merged.
func (m *merge) flush() {
	if len(m.runs) > 0 {
		m.append(m.runs)
	}
	clear(m.runs)
	m.runs, m.merged = m.runs[:0], 0
}

// byTime is a heap of queues with records, by the time of their first one.
type byTime []*queue

// run returns how many records of the first queue come before all of the others.
func (h *byTime) run() int {
	queues := *h
	records := queues[0].records
	limit := min(len(records), runRecords)
	for n := 1; n < limit; n++ {
		for _, i := range []int{1, 2} { // the second queue is one of these
			if i < len(queues) && queues[i].before(records[n].Time, queues[0].partition) {
				return n
			}
		}
	}
	return limit
}

// before reports whether the queue's first record comes before one of that time
// and partition.
func (q *queue) before(t int64, partition int32) bool {
	first := q.records[0].Time
	return first < t || (first == t && q.partition < partition)
}

func (h *byTime) Len() int { return len(*h) }

func (h *byTime) Less(i, j int) bool {
	other := (*h)[j]
	return (*h)[i].before(other.records[0].Time, other.partition)
}

func (h *byTime) Swap(i, j int) { (*h)[i], (*h)[j] = (*h)[j], (*h)[i] }

// Push is never called: the heap only shrinks.
func (h *byTime) Push(any) {}

func (h *byTime) Pop() any {
	last := len(*h) - 1
	q := (*h)[last]
	*h = (*h)[:last]
	return q
}
