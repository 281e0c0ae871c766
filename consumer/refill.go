package consumer

import (
	"container/heap"
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"paystream/broadcast"
)

// runRecords bounds one append while refilling.
const runRecords = 256

// refill reads the partitions of the start up to where each ended then, merged
// by Kafka's time. What it holds in memory is what one fetch of each partition
// brought: a partition is read on only when nothing of it is left.
type refill struct {
	c      *Consumer
	queues []*queue
	runs   []broadcast.Batch // merged and not appended
	merged int               // the records in them
}

// queue is a partition being refilled.
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

// run returns when all partitions have been refilled, which it reports, or ctx
// has ended. The partitions are live then.
func (r *refill) run(ctx context.Context, spans []span) bool {
	for _, s := range spans {
		q := &queue{partition: s.partition, at: s.start, end: s.end, encoder: r.c.newEncoder()}
		q.done = q.at >= q.end
		r.queues = append(r.queues, q)
	}
	for {
		if !r.fill(ctx) {
			return false
		}
		if !r.merge() {
			break
		}
	}
	for _, q := range r.queues { // in the order of the partitions, as good as any other
		if q.late.Next > 0 {
			r.c.log.Append(q.late)
		}
		r.c.table.follow(q.partition, q.at)
	}
	return true
}

// fill fetches until every partition that is not done has records. It reports
// false when ctx has ended before.
func (r *refill) fill(ctx context.Context) bool {
	for fruitless := 0; ; fruitless++ {
		empty := r.empty()
		if len(empty) == 0 {
			return true
		}
		changed := r.c.table.waiting()
		moved, wait := r.fetch(ctx, empty)
		if ctx.Err() != nil {
			return false
		}
		if moved {
			fruitless = 0
			continue
		}
		pause(ctx, max(wait, min(10*time.Millisecond<<min(fruitless, 6), maxWait)), changed)
	}
}

func (r *refill) empty() []*queue {
	var list []*queue
	for _, q := range r.queues {
		if !q.done && len(q.records) == 0 {
			list = append(list, q)
		}
	}
	return list
}

// fetch reads the partitions once, as far as they can be now. It reports whether
// any moved on, and else how long to pause.
func (r *refill) fetch(ctx context.Context, empty []*queue) (moved bool, wait time.Duration) {
	groups := map[int32][]position{}
	wait = maxBackoff
	byPartition := map[int32]*queue{}
	before := map[int32]int64{}
	for _, q := range empty {
		p, g := r.c.table.locate(q.partition)
		if d := time.Until(p.retryAt); g == noGroup || d > 0 {
			wait = min(wait, max(d, minBackoff))
			continue
		}
		wait = 0
		byPartition[q.partition], before[q.partition] = q, q.at
		groups[g] = append(groups[g], position{
			partition: q.partition, leader: p.leader, epoch: p.epoch, offset: q.at, maxBytes: share(len(r.queues)),
		})
	}
	var wg sync.WaitGroup
	for g, at := range groups {
		wg.Go(func() {
			err := r.c.fetcher.fetch(ctx, g, at, func(got *fetched) { r.accept(ctx, byPartition[got.partition], got) })
			switch {
			case err == nil:
				r.c.troubles.over(r.c.fetcher.name(g))
			case ctx.Err() == nil:
				r.c.groupFailed(g, at, err)
			}
		})
	}
	wg.Wait()
	for id, q := range byPartition {
		moved = moved || q.done || q.at > before[id]
	}
	return moved, wait
}

// accept takes what was read of a partition into its queue.
func (r *refill) accept(ctx context.Context, q *queue, got *fetched) {
	q.encoder.reuse(math.MaxInt) // nothing of the last fetch is left
	records := q.encoder.encode(q.memory[:0], q.partition, got.records)
	clear(records[len(records):cap(records)])
	q.memory = records
	i := len(records)
	if got.next > q.end {
		i, _ = slices.BinarySearchFunc(records, q.end, func(r broadcast.Record, end int64) int {
			return int(min(max(r.Offset-end, -1), 1))
		})
	}
	q.records, q.at = records[:i:i], got.next
	if i < len(records) {
		q.late = broadcast.Batch{Partition: q.partition, Records: records[i:], Next: got.next}
	}
	if len(q.records) == 0 {
		r.passed(q)
	}
	if !r.c.settle(ctx, got, r.c.table.get(q.partition).next) {
		q.at = max(q.at, r.c.table.get(q.partition).next) // what Kafka has deleted is skipped
	}
	if got.drained || q.at >= q.end {
		q.done = len(q.records) == 0
	}
}

// passed says that nothing of the queue is left: the log and the table move on
// to where the next fetch begins.
func (r *refill) passed(q *queue) {
	next := q.at
	if q.late.Next > 0 {
		next = q.late.Records[0].Offset
	}
	r.c.log.Append(broadcast.Batch{Partition: q.partition, Next: next})
	r.c.table.update(q.partition, func(p *partition) { p.next = max(p.next, next) })
	q.done = q.at >= q.end
}

// merge appends by time until a queue that is to be read on is empty. It reports
// whether there is one.
func (r *refill) merge() bool {
	h := make(byTime, 0, len(r.queues))
	for _, q := range r.queues {
		if len(q.records) > 0 {
			h = append(h, q)
		}
	}
	heap.Init(&h)
	for len(h) > 0 {
		q := h[0]
		n := h.run()
		r.runs = append(r.runs, broadcast.Batch{Partition: q.partition, Records: q.records[:n], Next: q.records[n-1].Offset + 1, Replayed: true})
		q.records = q.records[n:]
		if r.merged += n; r.merged >= runRecords {
			r.append()
		}
		if len(q.records) > 0 {
			heap.Fix(&h, 0)
			continue
		}
		r.append()
		r.passed(q)
		if !q.done {
			return true
		}
		heap.Pop(&h)
	}
	return slices.ContainsFunc(r.queues, func(q *queue) bool { return !q.done })
}

// append appends what has been merged.
func (r *refill) append() {
	r.c.log.AppendAll(r.runs)
	for _, b := range r.runs {
		r.c.table.update(b.Partition, func(p *partition) { p.next = b.Next })
	}
	clear(r.runs)
	r.runs, r.merged = r.runs[:0], 0
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
