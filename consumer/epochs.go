package consumer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

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
	now atomic.Pointer[[]int32] // replaced, never changed

	mu      sync.Mutex
	changed chan struct{}
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

// learn enters the epoch that a partition begins with.
func (c *Consumer) learn(partition, epoch int32) {
	if !c.cfg.ReadUncommitted {
		c.epochs.set(partition, epoch)
	}
}

// set enters the present epoch of a partition, and wakes those who wait for it.
func (e *epochs) set(partition, epoch int32) {
	e.mu.Lock()
	defer e.mu.Unlock()
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

func (e *epochs) setEnd(of epochOf, end int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
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

// confirm holds what was read under a new leader epoch to what was read before: up to at, or to what is in the log.
// Where it can not, got is a failure. Nothing may be appended before it.
func (c *Consumer) confirm(ctx context.Context, got *fetched, at int64) {
	known := c.epochs.at(got.partition)
	switch {
	case got.epoch == known || !got.fenced:
		return
	case got.epoch < known: // it comes from a leader of old, who may have had what its successor has not
		got.records, got.next = nil, at
		return
	case got.err != nil && len(got.records) == 0 && !errors.Is(got.err, kerr.OffsetOutOfRange):
		return
	}
	read := max(at, c.table.get(got.partition).next)
	end, err := c.epochEnd(ctx, epochOf{got.partition, known})
	if err == nil && end < read {
		err = c.truncated(ctx, got.partition, end, read)
	}
	if err != nil {
		got.records, got.next, got.err = nil, at, err
		return
	}
	c.epochs.set(got.partition, got.epoch)
}

// truncated ends Run.
func (c *Consumer) truncated(ctx context.Context, partition int32, at, read int64) error {
	err := &TruncatedError{Partition: partition, At: at}
	if ctx.Err() == nil {
		c.logger.Error("records lost: a leader was elected that did not have them, and Kafka puts others at their offsets; "+
			"is unclean.leader.election.enable on, or has a broker lost its disk?",
			"partition", partition, "from", at, "to", read)
		c.gone.Store(true)
		c.stop(err)
	}
	return err
}

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
	end, err := c.client.epochEnd(ctx, placement{partition: p.id, leader: p.leader, epoch: p.epoch}, of.epoch)
	if err != nil {
		return 0, fmt.Errorf("ask where leader epoch %d ended: %w", of.epoch, err)
	}
	if of.epoch < p.epoch { // that of the present one moves on
		c.epochs.setEnd(of, end)
	}
	return end, nil
}

// epochPatience is how long a cursor may be ahead of this gateway's knowledge of leaders.
const epochPatience = 3 * time.Second

// Epochs returns the leader epochs, by partition, under which the offsets in the log are Kafka's; below 0 is not known.
// The caller must not change it.
func (c *Consumer) Epochs() []int32 { return *c.epochs.now.Load() }

// Check returns what a reader has seen that Kafka's log no longer has, whose cursor is of given leader epochs, by
// partition, below 0 where not known: such a gap goes back from the cursor's offset to the one to go on from. It asks
// Kafka only where the leader has changed since; with ReadUncommitted it does not know.
func (c *Consumer) Check(ctx context.Context, cursor broadcast.Vector, under []int32) ([]broadcast.Gap, error) {
	if c.cfg.ReadUncommitted {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, epochPatience)
	defer cancel()
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

func isTruncated(err error) bool {
	_, ok := errors.AsType[*TruncatedError](err)
	return ok
}
