package consumer

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"paystream/broadcast"
	"paystream/payment"
)

const (
	// replayBytes is what the log of a replay keeps in memory, frames included.
	replayBytes = 8 << 20
	// replayAhead is how far a replay reads ahead of the farthest of its readers.
	replayAhead = replayBytes / 4
	// About so much is fetched at once, over all partitions: little, so that live payments do not wait while it is
	// decoded, but where an answer takes longer than longWay.
	smallShare = 512 << 10
	largeShare = 4 << 20
	longWay    = 10 * time.Millisecond
	// replayPace is how many records a replay appends in a second at the most: what lies in the past leaves the
	// processors to what is live. pacedTogether is for how long it does not look at the clock.
	replayPace    = 130_000
	pacedTogether = time.Millisecond
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
	health  map[int32]*health // of the queues
	flights map[int32]*flight // by group
	landing chan *flight
	changed <-chan struct{} // the table
	moved   bool            // something has landed since all partitions ended
	share   int             // how much to fetch at once
	due     time.Time       // when the next records may be appended
	looked  time.Time
	ended   bool            // it was another one's turn
	ctx     context.Context //nolint:containedctx // run's, for what merge calls

	over atomic.Bool // nothing more will come

	// The backfills' lock guards these.
	readers  []*Backfill
	prepared bool // its readers have been let in
}

func (c *Consumer) newReplay(from broadcast.Vector) *replay {
	r := &replay{
		c: c, log: broadcast.NewPaced(broadcast.Limits{Bytes: replayBytes}), from: from, began: time.Now(),
		fetcher: c.newFetcher(), health: map[int32]*health{},
		flights: map[int32]*flight{}, landing: make(chan *flight), changed: c.table.waiting(),
		share: smallShare,
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
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		for range r.flights {
			<-r.landing
		}
	}()
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

// fill reads until every partition that has more has records, but for those in trouble, or, where none has more, any
// gets some. It reports false when the replay is over.
func (r *replay) fill(ctx context.Context) bool {
	for {
		if r.look(); r.stopped() {
			return false
		}
		r.discover()
		r.landAll()
		waiting, held := r.waiting(), r.held()
		if !waiting && !held && r.moved { // all of them end here, for now
			r.moved = false
			r.c.backfills.prepared(r)
			r.log.Wake() // marks do not, and who is shown nothing of all this may be able to leave by now
		}
		r.launch(ctx, waiting || held)
		if waiting && !held {
			return true
		}
		r.await(ctx)
	}
}

// waiting reports whether any queue has records.
func (r *replay) waiting() bool {
	return slices.ContainsFunc(r.queues, func(q *queue) bool { return len(q.records) > 0 })
}

// held reports whether merging waits for a partition that has more. One in trouble is not waited for: it loses its
// place in the order of times, and nothing else.
func (r *replay) held() bool {
	return slices.ContainsFunc(r.empty(), func(q *queue) bool { return !r.health[q.partition].troubled() })
}

// look lets waiting readers in, and sees whether it is another one's turn.
func (r *replay) look() {
	if time.Since(r.looked) < lookEvery {
		return
	}
	r.looked = time.Now()
	r.ended = !r.c.backfills.pass(r)
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
	r.pace(records)
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

// pace waits until so many records may be appended.
func (r *replay) pace(records int) {
	now := time.Now()
	if wait := r.due.Sub(now); wait > 0 {
		sleep(r.ctx, wait)
	} else if wait < -pacedTogether {
		r.due = now.Add(-pacedTogether)
	}
	r.due = r.due.Add(time.Duration(records) * time.Second / replayPace)
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
