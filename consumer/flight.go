package consumer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"paystream/broadcast"
)

// flight is a replay's fetch under way. What it brings is its own until it has landed.
type flight struct {
	c       *Consumer
	group   int32
	at      []position
	queues  map[int32]*queue // by partition, as at
	began   time.Time
	cancel  context.CancelFunc
	givenUp bool // the replay's to change
	landed  bool // the same

	answers []answer
	err     error         // of the whole fetch
	waited  time.Duration // for the first answer
	took    time.Duration
}

// answer is what a flight has brought of a partition.
type answer struct {
	partition int32
	records   []broadcast.Record // in the queue's memory
	next, end int64              // as in fetched
	drained   bool
	gap       bool // what lies before next is lost
	ahead     bool // Kafka does not have next yet
	err       error
}

// run fetches.
func (f *flight) run(ctx context.Context, from fetcher) {
	f.err = f.c.fetch(ctx, from, f.group, f.at, func(got *fetched) {
		if f.answers == nil {
			f.waited = time.Since(f.began)
		}
		a := answer{
			partition: got.partition, records: f.queues[got.partition].encode(got.records),
			next: got.next, end: got.end, drained: got.drained, err: got.err,
		}
		if errors.Is(a.err, kerr.OffsetOutOfRange) && len(a.records) == 0 {
			a.err = f.overcome(ctx, &a)
		}
		f.answers = append(f.answers, a)
	})
	f.took = time.Since(f.began)
}

// overcome deals with an offset that Kafka does not have. What it has no longer is a gap, and the replay goes on
// behind it. What it does not have yet is waited for: the reader's cursor is ahead.
func (f *flight) overcome(ctx context.Context, a *answer) error {
	p := f.c.table.get(a.partition)
	first, err := f.c.client.offsets(ctx, []placement{{partition: a.partition, leader: p.leader, epoch: p.epoch}}, earliest)
	if err != nil {
		return fmt.Errorf("find the first offset: %w", err)
	}
	a.gap = a.next < first[0]
	a.ahead = !a.gap
	a.next = max(a.next, first[0])
	return nil
}

// launch begins to read the partitions that have more, by group, as far as they can be read now; all of them where
// nothing else is to be done.
func (r *replay) launch(ctx context.Context, busy bool) {
	list := r.queues
	if busy {
		list = r.empty()
	}
	begun := map[int32]*flight{}
	for _, q := range list {
		h := r.health[q.partition]
		p, g := r.c.table.locate(q.partition)
		h.leaderless = g == noGroup
		h.behind = r.flights[g]
		if h.leaderless || h.flight != nil || h.behind != nil || time.Now().Before(h.retryAt) {
			continue
		}
		if begun[g] == nil {
			begun[g] = &flight{c: r.c, group: g, began: time.Now(), queues: map[int32]*queue{}}
		}
		h.flight = begun[g]
		h.flight.queues[q.partition] = q
		h.flight.at = append(h.flight.at, position{
			partition: q.partition, leader: p.leader, epoch: p.epoch, offset: q.at,
			maxBytes: int32(max(r.share/len(r.queues), minShare)),
		})
	}
	for g, f := range begun {
		r.flights[g] = f
		within, cancel := context.WithCancel(ctx)
		f.cancel = cancel
		go func() {
			f.run(within, r.fetcher)
			r.landing <- f
		}()
	}
}

// landAll takes in what has landed meanwhile.
func (r *replay) landAll() {
	for {
		select {
		case f := <-r.landing:
			r.land(f)
		default:
			return
		}
	}
}

// await waits until a flight has landed, or it is time to look around.
func (r *replay) await(ctx context.Context) {
	timer := time.NewTimer(lookEvery)
	defer timer.Stop()
	select {
	case f := <-r.landing:
		r.land(f)
	case <-r.changed:
		r.changed = r.c.table.waiting()
		r.giveUp()
	case <-timer.C:
	case <-ctx.Done():
	}
}

// giveUp ends the flights to brokers that do not lead one of their partitions any more.
func (r *replay) giveUp() {
	for _, f := range r.flights {
		for id := range f.queues {
			if _, g := r.c.table.locate(id); g != f.group {
				f.givenUp = true
				f.cancel()
			}
		}
	}
}

// land takes in what a flight has brought.
func (r *replay) land(f *flight) {
	f.cancel()
	f.landed = true
	delete(r.flights, f.group)
	for id := range f.queues {
		r.health[id].flight = nil
	}
	r.moved = true
	if r.share /= 2; f.waited > longWay {
		r.share *= 4
	}
	r.share = min(max(r.share, smallShare), largeShare)
	fruitful := f.took > maxWait/2
	for _, a := range f.answers {
		fruitful = r.accept(f.queues[a.partition], a) || fruitful
	}
	switch {
	case f.givenUp:
	case f.err != nil:
		for id := range f.queues {
			r.failed(id, f.err)
		}
	default:
		for id := range f.queues {
			r.health[id].answered(fruitful)
		}
	}
}

// accept takes what was read of a partition into its queue, and reports whether that moved on.
func (r *replay) accept(q *queue, a answer) bool {
	moved := a.next > q.at
	q.records, q.at = a.records, a.next
	h := r.health[q.partition]
	switch {
	case a.gap:
		r.log.Gap(q.partition, a.next)
	case len(q.records) == 0:
		r.passed(q)
	}
	switch {
	case a.err != nil:
		r.failed(q.partition, a.err)
		return moved
	case a.ahead:
		h.retryAt = time.Now().Add(maxWait)
	case !a.gap:
		if h.failures > 0 {
			r.c.troubles.over(r.name(q.partition))
		}
		h.failures, h.retryAt = 0, time.Time{}
		q.end = max(a.end, q.at)
	}
	q.done = len(q.records) == 0 && !a.gap && (a.ahead || a.drained || q.at >= q.end)
	return moved
}

func (r *replay) name(partition int32) string { return "replay of " + partitionName(partition) }

// failed enters that a partition could not be read.
func (r *replay) failed(partition int32, err error) {
	if r.ctx.Err() != nil {
		return
	}
	h := r.health[partition]
	h.retryAt = time.Now().Add(backoff(h.failures))
	h.failures++
	r.c.troubles.lost(r.name(partition), r.c.cfg.Kafka.Explain(err))
	r.c.refresh()
}

// health is how reading a partition goes.
type health struct {
	flight     *flight // that it is read by now
	behind     *flight // that its broker has to answer first, or had to
	failures   int     // in a row
	fruitless  int     // fetches in a row that brought nothing and took no time
	retryAt    time.Time
	leaderless bool
}

// late is when a broker that has not answered is in trouble.
const late = 4 * maxWait

// troubled reports whether nobody can tell when there will be more.
func (h *health) troubled() bool {
	return h.failures > 0 || h.fruitless > 0 || h.leaderless || h.flight.late() || h.behind.late()
}

// late reports whether the broker should have answered.
func (f *flight) late() bool { return f != nil && !f.landed && time.Since(f.began) > late }

// answered enters that a broker has answered. Where it should not have done so yet, it is not asked in a circle.
func (h *health) answered(fruitful bool) {
	if fruitful {
		h.fruitless = 0
		return
	}
	h.fruitless++
	if at := time.Now().Add(fruitlessPause(h.fruitless)); at.After(h.retryAt) {
		h.retryAt = at
	}
}
