package consumer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"paystream/broadcast"
	"paystream/internal/kafkaconn"
	"paystream/payment"
)

// followAll runs one follower for each group of live partitions.
func (c *Consumer) followAll(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for ctx.Err() == nil {
		changed := c.table.waiting()
		for _, g := range c.table.unfollowed() {
			wg.Go(func() { (&follower{c: c, group: g, encoder: c.newEncoder()}).run(ctx) })
		}
		select {
		case <-ctx.Done():
		case <-changed:
		}
	}
}

// follower reads the live partitions of one group as records arrive.
type follower struct {
	c         *Consumer
	group     int32
	encoder   *encoder
	fruitless int // fetches in a row that brought nothing and took no time

	// Read and not appended yet, a batch for each of got.
	got     []*fetched
	batches []broadcast.Batch
	records []broadcast.Record // of all batches
}

// togetherRecords is up to how many records of several partitions are appended together: what came in one
// answer then wakes each subscriber once.
const togetherRecords = 256

// run returns when ctx ends or the group has no partitions any more.
func (f *follower) run(ctx context.Context) {
	for ctx.Err() == nil {
		changed := f.c.table.waiting()
		fetchCtx, cancel := context.WithCancel(ctx)
		at, wait, gone := f.c.table.take(f.group, cancel)
		if gone {
			cancel()
			return
		}
		if len(at) > 0 {
			wait = f.fetch(fetchCtx, at)
			f.c.table.release(f.group, at)
			changed = nil // a pause is a pause
		}
		cancel()
		if wait > 0 {
			pause(ctx, wait, changed)
		}
	}
}

// fetch reads once, and returns for how long to pause then.
func (f *follower) fetch(ctx context.Context, at []position) time.Duration {
	began := time.Now()
	moved := false
	err := f.c.fetch(ctx, f.c.fetcher, f.group, at, func(got *fetched) {
		if len(f.records)+len(got.records) > togetherRecords {
			moved = f.append(ctx) || moved
		}
		f.accept(got)
	})
	moved = f.append(ctx) || moved
	if err != nil {
		if ctx.Err() == nil {
			f.c.groupFailed(f.group, at, err)
		}
		return 0 // each partition has its own pause
	}
	f.c.troubles.over(f.c.fetcher.name(f.group))
	if moved || time.Since(began) > maxWait/2 {
		f.fruitless = 0
		return 0
	}
	// A broker should not have answered yet. Do not ask it in a circle.
	f.fruitless++
	return fruitlessPause(f.fruitless)
}

// accept takes what was read of a partition.
func (f *follower) accept(got *fetched) {
	from := len(f.records)
	f.records = f.encoder.encode(f.records, got.partition, got.records)
	got.records = nil
	f.got = append(f.got, got)
	f.batches = append(f.batches, broadcast.Batch{Partition: got.partition, Records: f.records[from:], Next: got.next})
}

// append appends what was accepted, and reports whether any partition moved on.
func (f *follower) append(ctx context.Context) (moved bool) {
	switch len(f.batches) {
	case 0:
	case 1:
		f.c.log.Append(f.batches[0]) // some records at a time, as there may be many
	default:
		f.c.log.AppendAll(f.batches)
	}
	for _, got := range f.got {
		before := f.c.table.get(got.partition)
		if f.c.settle(ctx, got, got.next) && got.next > before.next {
			moved = true
		}
	}
	clear(f.got)
	clear(f.batches)
	clear(f.records)
	f.encoder.reuse(keepArena)
	f.got, f.batches, f.records = f.got[:0], f.batches[:0], f.records[:0]
	return moved
}

// settle enters what is known of a partition after a fetch: all before next is
// in the log. It reports whether the fetch went well.
func (c *Consumer) settle(ctx context.Context, got *fetched, next int64) bool {
	if got.err != nil {
		c.table.update(got.partition, func(p *partition) { p.next = max(p.next, next) })
		c.partitionFailed(ctx, got)
		return false
	}
	c.table.mu.Lock()
	p := c.table.partitions[got.partition]
	p.next = max(p.next, next)
	if got.end >= 0 {
		p.end, p.high = got.end, got.high
	}
	worked := p.failures > 0 || p.stuck
	p.failures, p.outages, p.retryAt, p.stuck = 0, 0, time.Time{}, false
	c.table.mu.Unlock()
	if worked {
		c.troubles.over(partitionName(got.partition))
	}
	return true
}

func partitionName(id int32) string { return fmt.Sprintf("partition %d", id) }

// groupFailed enters that a whole fetch has failed.
func (c *Consumer) groupFailed(g int32, at []position, err error) {
	c.troubles.lost(c.fetcher.name(g), c.cfg.Kafka.Explain(err))
	for _, a := range at {
		c.table.update(a.partition, func(p *partition) {
			p.retryAt = time.Now().Add(backoff(p.outages))
			p.outages++
		})
	}
	c.refresh()
}

// partitionFailed enters that a partition could not be read.
func (c *Consumer) partitionFailed(ctx context.Context, got *fetched) {
	err := got.err
	switch {
	case errors.Is(err, kerr.OffsetOutOfRange):
		if err = c.outOfRange(ctx, got.partition); err == nil {
			return
		}
	case errors.Is(err, kerr.UnknownTopicID), errors.Is(err, kerr.InconsistentTopicID):
		if e := c.checkTopic(ctx); e != nil { // else a broker has not heard of the topic yet
			err = e
		}
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		err = &kafkaconn.TopicError{Topic: c.cfg.Topic, Err: kerr.TopicAuthorizationFailed}
	}
	if ctx.Err() != nil || errors.Is(err, ErrReplaced) || isTruncated(err) {
		return
	}
	c.troubles.lost(partitionName(got.partition), c.cfg.Kafka.Explain(err))
	c.table.update(got.partition, func(p *partition) {
		p.outages = 0
		p.retryAt = time.Now().Add(backoff(p.failures))
		p.failures++
		if p.epoch != got.epoch { // the leader has changed meanwhile: ask the new one
			p.retryAt = time.Time{}
		}
	})
	c.refresh()
}

// outOfRange deals with an offset that the leader does not have. What has been
// deleted is gone for good: reading goes on behind it. An offset behind the end
// is tried on: going back would repeat records, or give those of another topic.
func (c *Consumer) outOfRange(ctx context.Context, id int32) error {
	p := c.table.get(id)
	of := []placement{{partition: id, leader: p.leader, epoch: p.epoch}}
	first, err := c.client.offsets(ctx, of, earliest)
	if err != nil {
		return fmt.Errorf("find the first offset: %w", err)
	}
	if p.next < first[0] {
		c.logger.Error("records lost: Kafka deleted them before they were read; is the topic's retention long enough?",
			"partition", id, "from", p.next, "to", first[0])
		c.log.Gap(id, first[0])
		c.table.update(id, func(p *partition) {
			p.skipped += first[0] - p.next
			p.next = first[0]
		})
		return nil
	}
	if err := c.checkTopic(ctx); err != nil {
		return err
	}
	end, err := c.client.offsets(ctx, of, latest)
	if err != nil {
		return fmt.Errorf("find the end: %w", err)
	}
	if p.next <= end[0] {
		return errMoment
	}
	if !p.stuck {
		c.logger.Error("partition ends before the offset to read: it was truncated; waiting until it gets there",
			"partition", id, "offset", p.next, "end", end[0])
	}
	c.table.update(id, func(p *partition) { p.stuck = true })
	return fmt.Errorf("%w: at %d of %d", errTruncated, p.next, end[0])
}

var (
	errTruncated = errors.New("ends before the offset to read")
	errMoment    = errors.New("did not have the offset to read for a moment")
)

func (c *Consumer) newEncoder() *encoder {
	return &encoder{
		decoder: payment.Decoder{Units: c.cfg.Units, MaxBytes: c.cfg.MaxRecordBytes},
		bad: func(partition int32, offset int64, why *payment.Rejection) {
			c.bad.add(partition, offset, why)
			c.group.bad(partition, offset)
			c.table.mu.Lock()
			defer c.table.mu.Unlock()
			c.table.partitions[partition].bad++
		},
	}
}

// pause waits until the time is up, something changes, or ctx ends.
func pause(ctx context.Context, d time.Duration, changed <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-changed:
	case <-timer.C:
	}
}
