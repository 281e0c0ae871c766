package consumer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kerr"

	"paystream/broadcast"
)

// unknownEpoch stands for a leader epoch that is not known.
const unknownEpoch int32 = -1

// epochs are, by partition, the leader epochs under which what was read has been found to be what Kafka's log has.
//
// A leader that was elected without having been in sync lacks what its predecessors had, and puts other records at the
// same offsets. Where the epoch of an offset ends in the log of those who came later tells that (KIP-320), also
// when that log has grown on past the offset.
type epochs struct {
	now atomic.Pointer[[]int32] // replaced, never changed; none goes back

	mu      sync.Mutex
	changed chan struct{}
	read    []int64                 // by partition: behind all that Kafka has answered with, to whichever reader
	ends    map[epochOf]int64       // where earlier epochs end in the log as it is
	asking  map[int32]chan struct{} // by partition: holds one while somebody asks for an end
}

type epochOf struct{ partition, epoch int32 }

// mostEnds bounds what is remembered: it can be asked for again.
const mostEnds = 4096

func newEpochs() *epochs {
	e := &epochs{changed: make(chan struct{}), ends: map[epochOf]int64{}, asking: map[int32]chan struct{}{}}
	e.now.Store(&[]int32{})
	return e
}

// at returns the present epoch of a partition.
func (e *epochs) at(partition int32) int32 {
	if now := *e.now.Load(); int(partition) < len(now) {
		return now[partition]
	}
	return unknownEpoch
}

// begin enters the epoch that a partition begins with, and up to where Kafka has said that there are offsets.
func (e *epochs) begin(partition, epoch int32, read int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.set(partition, epoch)
	for int(partition) >= len(e.read) {
		e.read = append(e.read, 0)
	}
	e.read[partition] = max(e.read[partition], read)
}

// hasRead enters that Kafka has, under the epoch, all up to an offset. It reports false where the epoch is not the
// present one.
func (e *epochs) hasRead(partition, epoch int32, next int64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.at(partition) != epoch {
		return false
	}
	e.read[partition] = max(e.read[partition], next)
	return true
}

// succeed enters that an epoch has a successor, in whose log it ends at an offset. It reports up to where there is
// more that was read: then nothing is entered. Where the epoch is not the present one any more, it does nothing.
func (e *epochs) succeed(of epochOf, successor int32, end int64) (beyond int64, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.at(of.partition) != of.epoch:
		return 0, true
	case end < e.read[of.partition]:
		return e.read[of.partition], false
	}
	for older := range e.ends { // they may have ended earlier, by now
		if older.partition == of.partition {
			delete(e.ends, older)
		}
	}
	e.setEnd(of, end)
	e.set(of.partition, successor)
	return 0, true
}

// set holds mu, enters the present epoch of a partition, and wakes those who wait for it.
func (e *epochs) set(partition, epoch int32) {
	now := slices.Clone(*e.now.Load())
	for int(partition) >= len(now) {
		now = append(now, unknownEpoch)
	}
	now[partition] = epoch
	e.now.Store(&now)
	close(e.changed)
	e.changed = make(chan struct{})
}

func (e *epochs) waiting() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.changed
}

// asks returns what is to be held while a partition's leader is asked.
func (e *epochs) asks(partition int32) chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.asking[partition] == nil {
		e.asking[partition] = make(chan struct{}, 1)
	}
	return e.asking[partition]
}

func (e *epochs) end(of epochOf) (int64, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	end, ok := e.ends[of]
	return end, ok
}

// setEnd holds mu.
func (e *epochs) setEnd(of epochOf, end int64) {
	if len(e.ends) >= mostEnds {
		clear(e.ends)
	}
	e.ends[of] = end
}

// TruncatedError says that a partition was cut back: Kafka no longer has what it had from an offset on, and puts other
// records there. Of all that is in the log, nobody can say any more which of it is Kafka's.
type TruncatedError struct {
	Partition int32
	// At is the first offset that is another record's, or will be.
	At int64
}

func (e *TruncatedError) Error() string {
	return fmt.Sprintf("partition %d was cut back to offset %d: a leader was elected that did not have what came behind it", e.Partition, e.At)
}

func isTruncated(err error) bool {
	_, ok := errors.AsType[*TruncatedError](err)
	return ok
}

// begins enters what a partition begins with.
func (c *Consumer) begins(partition, epoch int32, read int64) {
	if c.cfg.ReadUncommitted {
		epoch = unknownEpoch // nobody knows what a kafka.Reader reads
	}
	c.epochs.begin(partition, epoch, read)
}

// fetch is a fetcher's, with answers that hold to what was read before them: see confirm.
func (c *Consumer) fetch(ctx context.Context, from fetcher, group int32, at []position, handle func(*fetched)) error {
	return from.fetch(ctx, group, at, func(got *fetched) {
		asked := slices.IndexFunc(at, func(a position) bool { return a.partition == got.partition })
		c.confirm(ctx, got, at[asked].offset)
		handle(got)
	})
}

// confirm holds what was read under a new leader epoch to what was read before, by whichever reader. at is where it was
// read from. Where confirm can not, got is a failure. Nothing may be taken of an answer before it.
func (c *Consumer) confirm(ctx context.Context, got *fetched, at int64) {
	if !got.fenced || (got.err != nil && len(got.records) == 0 && !errors.Is(got.err, kerr.OffsetOutOfRange)) {
		return
	}
	for {
		known := c.epochs.at(got.partition)
		switch {
		case got.epoch < known: // it comes from a leader of old, who may have had what its successor has not
			got.records, got.next, got.err = nil, at, nil
			c.refresh()
			return
		case got.epoch > known:
			if err := c.succeed(ctx, epochOf{got.partition, known}, got.epoch); err != nil {
				got.records, got.next, got.err = nil, at, err
				return
			}
		case got.err != nil && len(got.records) == 0: // at is the reader's word, and not Kafka's
			return
		case c.epochs.hasRead(got.partition, got.epoch, got.next):
			return
		}
	}
}

// succeed enters that an epoch has a successor. It fails where that does not have all that was read.
func (c *Consumer) succeed(ctx context.Context, of epochOf, successor int32) error {
	ctx, cancel := context.WithTimeout(ctx, confirmPatience)
	defer cancel()
	end, err := c.epochEnd(ctx, of)
	if err != nil {
		return err
	}
	beyond, ok := c.epochs.succeed(of, successor, end)
	if ok {
		return nil
	}
	truncated := &TruncatedError{Partition: of.partition, At: end}
	if c.gone.CompareAndSwap(false, true) {
		c.logger.Error("records lost: a leader was elected that did not have them, and Kafka puts others at their offsets; "+
			"is unclean.leader.election.enable on, or has a broker lost its disk?",
			"partition", of.partition, "from", end, "to", beyond)
		c.stop(truncated)
	}
	return truncated
}

// confirmPatience is how long an answer's other partitions may wait for one to be confirmed.
const confirmPatience = 4 * maxWait

// epochEnd returns the offset at which an epoch ends in the partition's log as its leader has it now.
func (c *Consumer) epochEnd(ctx context.Context, of epochOf) (int64, error) {
	if of.epoch == unknownEpoch {
		return maxOffset, nil
	}
	asking := c.epochs.asks(of.partition)
	select {
	case asking <- struct{}{}:
		defer func() { <-asking }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	if end, ok := c.epochs.end(of); ok {
		return end, nil
	}
	p := c.table.get(of.partition)
	if p.epoch <= of.epoch { // the metadata are older
		c.refresh()
		return 0, errEpochAhead
	}
	end, err := c.client.epochEnd(ctx, placement{partition: p.id, leader: p.leader, epoch: p.epoch}, of.epoch)
	if err != nil {
		return 0, fmt.Errorf("ask where leader epoch %d ended: %w", of.epoch, err)
	}
	if p.epoch == c.epochs.at(of.partition) { // else there is more to come
		c.epochs.mu.Lock()
		c.epochs.setEnd(of, end)
		c.epochs.mu.Unlock()
	}
	return end, nil
}

// Epochs returns the leader epochs, by partition, under which the offsets in the log are Kafka's; below 0 is not known.
// The caller must not change it.
func (c *Consumer) Epochs() []int32 { return *c.epochs.now.Load() }

// Check returns what a reader has seen that Kafka's log no longer has, whose cursor is of given leader epochs, by
// partition, below 0 where not known: such a gap goes back from the cursor's offset to the one to go on from. It asks
// Kafka only where the leader has changed since, and waits as long as ctx lets it where this gateway has not heard of a
// leader yet; with ReadUncommitted it does not know.
func (c *Consumer) Check(ctx context.Context, cursor broadcast.Vector, under []int32) ([]broadcast.Gap, error) {
	if c.cfg.ReadUncommitted {
		return nil, nil
	}
	var gaps []broadcast.Gap
	for id, epoch := range under {
		p := int32(id)
		if epoch < 0 || id >= min(len(cursor), c.table.len()) {
			continue
		}
		if err := c.learned(ctx, epochOf{p, epoch}); err != nil {
			return nil, err
		}
		if c.epochs.at(p) == epoch {
			continue
		}
		end, err := c.epochEnd(ctx, epochOf{p, epoch})
		if err != nil {
			return nil, c.cfg.Kafka.Explain(err)
		}
		if end < cursor.At(p) {
			gaps = append(gaps, broadcast.Gap{Partition: p, From: cursor.At(p), To: end})
		}
	}
	return gaps, nil
}

var errEpochAhead = errors.New("this gateway has not heard of the partition's new leader yet")

// learned waits until the partition has been read under an epoch, or a later one.
func (c *Consumer) learned(ctx context.Context, of epochOf) error {
	for {
		changed := c.epochs.waiting()
		if c.epochs.at(of.partition) >= of.epoch {
			return nil
		}
		c.refresh()
		select {
		case <-changed:
		case <-ctx.Done():
			return errEpochAhead
		}
	}
}
