package consumer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"paystream/broadcast"
	"paystream/payment"
)

const (
	// replayBytes is what the log of a replay keeps in memory, frames included.
	replayBytes = 8 << 20
	// replayAhead is how far a replay reads ahead of the farthest of its readers.
	replayAhead = replayBytes / 4
	// replayShare is about how much is fetched at once, over all partitions.
	replayShare = 4 << 20
	// lookEvery is how often a replay looks at who waits.
	lookEvery = 50 * time.Millisecond
)

// replay reads from Kafka what the log no longer holds, into a log of its own, partitions merged by Kafka's time,
// and on to where the partitions end for as long as somebody reads it. Bad records are left out without a word: that
// was said when they came.
type replay struct {
	c       *Consumer
	log     *broadcast.Log
	from    broadcast.Vector
	began   time.Time
	cancel  context.CancelFunc
	fetcher fetcher
	merge
	health map[int32]*health // of the queues
	looked time.Time
	ended  bool            // it was another one's turn
	ctx    context.Context //nolint:containedctx // run's, for what merge calls

	over atomic.Bool // nothing more will come

	// The backfills' lock guards these.
	readers  []*Backfill
	prepared bool // its readers have been let in
}

// health is how reading a partition goes.
type health struct {
	failures int // in a row
	retryAt  time.Time
}

func (c *Consumer) newReplay(from broadcast.Vector) *replay {
	r := &replay{
		c: c, log: broadcast.NewPaced(broadcast.Limits{Bytes: replayBytes}), from: from, began: time.Now(),
		fetcher: c.newFetcher(), health: map[int32]*health{},
	}
	r.merge = merge{append: r.append, passed: r.passed}
	r.discover()
	return r
}

// serves reports whether a reader can go on from a cursor in the replay's log, and need not wait there for long.
func (r *replay) serves(from broadcast.Vector) bool {
	return !r.over.Load() && from.Covers(r.log.Oldest()) && distance(r.log.Newest(), from) <= nearby
}

// take holds the backfills' lock and takes in a reader.
func (r *replay) take(b *Backfill) {
	r.readers = append(r.readers, b)
	b.replay.Store(r)
	if r.prepared {
		close(b.granted)
	}
}

// letIn holds the backfills' lock and lets the readers in that have waited for the replay to begin.
func (r *replay) letIn() {
	if !r.prepared {
		r.prepared = true
		for _, b := range r.readers {
			close(b.granted)
		}
	}
}

// run returns when ctx has ended, or others have their turn.
func (r *replay) run(ctx context.Context) {
	defer r.fetcher.close()
	r.ctx = ctx
	for first := true; r.fill(ctx); first = false {
		if first {
			r.c.backfills.prepared(r)
		}
		r.merge.run()
	}
	for _, q := range r.queues {
		if r.health[q.partition].failures > 0 {
			r.c.troubles.over(r.name(q.partition))
		}
	}
}

// stopped reports whether nothing more may be appended: something before it may have been left out.
func (r *replay) stopped() bool { return r.ended || r.ctx.Err() != nil }

// discover takes in the partitions that it does not have yet.
func (r *replay) discover() {
	for id := int32(len(r.queues)); int(id) < r.c.table.len(); id++ {
		at := r.from.At(id)
		r.log.Open(id, at)
		r.health[id] = &health{}
		r.queues = append(r.queues, &queue{partition: id, at: at, end: at + 1, encoder: &encoder{
			decoder: payment.Decoder{Units: r.c.cfg.Units, MaxBytes: r.c.cfg.MaxRecordBytes},
			bad:     func(int32, int64, *payment.Rejection) {},
		}})
	}
}

// fill fetches until every partition that has more has records, or, where none has, any gets some. It reports false
// when the replay is over.
func (r *replay) fill(ctx context.Context) bool {
	for {
		if r.look(); r.stopped() {
			return false
		}
		r.discover()
		empty := r.empty()
		if len(empty) == 0 && r.waiting() {
			return true
		}
		if len(empty) == 0 { // all of them end here, for now
			r.log.Wake() // marks do not, and who is shown nothing of all this may be able to leave by now
			for _, q := range r.queues {
				q.done = false
			}
			empty = r.queues
		}
		changed := r.c.table.waiting()
		if wait := r.fetch(ctx, empty); wait > 0 {
			pause(ctx, wait, changed)
		}
	}
}

// waiting reports whether any queue has records.
func (r *replay) waiting() bool {
	for _, q := range r.queues {
		if len(q.records) > 0 {
			return true
		}
	}
	return false
}

// look lets waiting readers in, and sees whether it is another one's turn.
func (r *replay) look() {
	if time.Since(r.looked) < lookEvery {
		return
	}
	r.looked = time.Now()
	r.ended = !r.c.backfills.pass(r)
}

// fetch reads the partitions once, as far as they can be now, and returns for how long to pause when none can.
func (r *replay) fetch(ctx context.Context, empty []*queue) (wait time.Duration) {
	groups := map[int32][]position{}
	byPartition := map[int32]*queue{}
	wait = maxBackoff
	for _, q := range empty {
		p, g := r.c.table.locate(q.partition)
		if d := time.Until(r.health[q.partition].retryAt); g == noGroup || d > 0 {
			wait = min(wait, max(d, minBackoff))
			continue
		}
		wait = 0
		byPartition[q.partition] = q
		groups[g] = append(groups[g], position{
			partition: q.partition, leader: p.leader, epoch: p.epoch, offset: q.at,
			maxBytes: int32(max(replayShare/len(r.queues), minShare)),
		})
	}
	var wg sync.WaitGroup
	for g, at := range groups {
		wg.Go(func() {
			err := r.fetcher.fetch(ctx, g, at, func(got *fetched) { r.accept(ctx, byPartition[got.partition], got) })
			if err != nil && ctx.Err() == nil {
				for _, a := range at {
					r.failed(a.partition, err)
				}
			}
		})
	}
	wg.Wait()
	return wait
}

// accept takes what was read of a partition into its queue.
func (r *replay) accept(ctx context.Context, q *queue, got *fetched) {
	r.c.confirm(ctx, got, q.at)
	q.records, q.at = q.encode(got.records), got.next
	if len(q.records) == 0 {
		r.passed(q)
	}
	if got.err != nil {
		if err := r.overcome(ctx, q, got.err); err != nil && ctx.Err() == nil {
			r.failed(q.partition, err)
		}
		return
	}
	h := r.health[q.partition]
	if h.failures > 0 {
		r.c.troubles.over(r.name(q.partition))
	}
	*h = health{}
	q.end = max(got.end, q.at)
	q.done = len(q.records) == 0 && (q.at >= q.end || got.drained)
}

// overcome deals with an offset that Kafka does not have. What it has no longer is a gap, and the replay goes on
// behind it. What it does not have yet is waited for: the reader's cursor is ahead.
func (r *replay) overcome(ctx context.Context, q *queue, err error) error {
	if !errors.Is(err, kerr.OffsetOutOfRange) || len(q.records) > 0 {
		return err
	}
	p := r.c.table.get(q.partition)
	of := []placement{{partition: q.partition, leader: p.leader, epoch: p.epoch}}
	first, err := r.c.client.offsets(ctx, of, earliest)
	if err != nil {
		return fmt.Errorf("find the first offset: %w", err)
	}
	if q.at < first[0] {
		r.log.Gap(q.partition, first[0])
		q.at = first[0]
		return nil
	}
	q.done = true
	r.health[q.partition].retryAt = time.Now().Add(maxWait)
	return nil
}

func (r *replay) name(partition int32) string { return "replay of " + partitionName(partition) }

// failed enters that a partition could not be read.
func (r *replay) failed(partition int32, err error) {
	h := r.health[partition]
	h.retryAt = time.Now().Add(backoff(h.failures))
	h.failures++
	r.c.troubles.lost(r.name(partition), r.c.cfg.Kafka.Explain(err))
	r.c.refresh()
}

// passed moves the log on to where the partition is read on.
func (r *replay) passed(q *queue) {
	if r.stopped() {
		return
	}
	r.log.Append(broadcast.Batch{Partition: q.partition, Next: q.at})
	q.done = q.at >= q.end
}

// append appends what has been merged, at the pace of the farthest reader.
func (r *replay) append(runs []broadcast.Batch) {
	records, bytes := 0, 0
	for _, b := range runs {
		records += len(b.Records)
		for i := range b.Records {
			bytes += len(b.Records[i].Value)
		}
	}
	if bytes <= replayAhead/2 {
		if r.room(bytes) {
			r.log.AppendAll(runs)
		}
	} else {
		r.appendLarge(runs)
	}
	r.c.backfills.records.Add(int64(records))
	r.look()
}

// appendLarge appends one record at a time.
func (r *replay) appendLarge(runs []broadcast.Batch) {
	for _, b := range runs {
		for i := range b.Records {
			if !r.room(len(b.Records[i].Value)) {
				return
			}
			one := b
			one.Records, one.Next = b.Records[i:i+1], b.Records[i].Offset+1
			r.log.Append(one)
		}
	}
}

// room waits until so many bytes may be appended, and reports false when the replay is over.
func (r *replay) room(bytes int) bool {
	for !r.stopped() {
		ctx, cancel := context.WithTimeout(r.ctx, 4*lookEvery)
		err := r.log.WaitForReader(ctx, max(0, replayAhead-bytes))
		cancel()
		if err == nil {
			return !r.stopped()
		}
		r.look()
	}
	return false
}
