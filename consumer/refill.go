package consumer

import (
	"context"
	"slices"
	"sync"
	"time"

	"paystream/broadcast"
)

// refill reads the partitions of the start up to where each ended then, merged
// by Kafka's time. What it holds in memory is what one fetch of each partition
// brought: a partition is read on only when nothing of it is left.
type refill struct {
	c *Consumer
	merge
}

// run returns when all partitions have been refilled, which it reports, or ctx
// has ended. The partitions are live then.
func (r *refill) run(ctx context.Context, spans []span) bool {
	r.merge = merge{append: r.append, passed: r.passed}
	for _, s := range spans {
		q := &queue{partition: s.partition, at: s.start, end: s.end, encoder: r.c.newEncoder()}
		q.done = q.at >= q.end
		r.queues = append(r.queues, q)
	}
	for {
		if !r.fill(ctx) {
			return false
		}
		r.merge.run()
		if r.empty() == nil {
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
		pause(ctx, max(wait, fruitlessPause(fruitless)), changed)
	}
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
			err := r.c.fetch(ctx, r.c.fetcher, g, at, func(got *fetched) { r.accept(ctx, byPartition[got.partition], got) })
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
	records := q.encode(got.records)
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

// append appends what has been merged.
func (r *refill) append(runs []broadcast.Batch) {
	r.c.log.AppendAll(runs)
	for _, b := range runs {
		r.c.table.update(b.Partition, func(p *partition) { p.next = b.Next })
	}
}
