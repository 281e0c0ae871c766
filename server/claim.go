package server

import (
	"context"
	"slices"
	"time"

	"paystream/broadcast"
)

// claim is the cursor that a stream has come with. Until the log has passed it, it is the client's word that Kafka has
// all that lies before it: it is held to Kafka's log at the beginning, and again when a partition's leader changes.
type claim struct {
	cursor broadcast.Vector // nil is none
	epochs []int32          // the cursor's; none is not known

	checked bool // it was held to Kafka's log at least once
	passed  bool // by the log
	lost    bool // Kafka has taken back some of what lies before it
	under   []int32
	retryAt time.Time // when it is to be held to Kafka's log again, where that failed
}

const (
	// checkPatience is how long a stream waits, before its headers are sent, for its cursor to be held to Kafka's log.
	checkPatience = time.Second
	// recheckPatience is how long one that runs does, recheckPause for how long it lets be then.
	recheckPatience = 200 * time.Millisecond
	recheckPause    = 500 * time.Millisecond
)

// open reports whether the stream may go on from its cursor.
func (c *claim) open() bool { return c.cursor == nil || (c.checked && !c.lost) }

// waits reports whether there is nothing to do but to wait.
func (c *claim) waits() bool { return !c.lost && time.Now().Before(c.retryAt) }

// retry returns a channel that says when to try again.
func (c *claim) retry() <-chan struct{} {
	again := make(chan struct{})
	time.AfterFunc(time.Until(c.retryAt), func() { close(again) })
	return again
}

// hold holds the cursor to Kafka's log where that is due. It fails with a [*broadcast.GapError], of which the gaps are
// known alone, where Kafka has taken back what lies before it. Where Kafka can not be asked, it reports nothing, and the claim is not open.
func (c *claim) hold(ctx context.Context, source Source, log *broadcast.Log) error {
	if c.passed || c.cursor == nil {
		return nil
	}
	newest := log.Newest() // before the epochs: what the log has of a new leader's comes behind that leader's epoch
	now := source.Epochs()
	if !c.open() || !slices.Equal(now, c.under) {
		if c.waits() {
			return nil
		}
		ctx, cancel := context.WithTimeout(ctx, recheckPatience)
		defer cancel()
		if err := c.check(ctx, source); err != nil {
			return err
		}
		c.under = now
	}
	c.passed = c.checked && newest.Covers(c.cursor)
	return nil
}

// check holds the cursor to Kafka's log.
func (c *claim) check(ctx context.Context, source Source) error {
	gaps, err := source.Check(ctx, c.cursor, c.epochs)
	if err != nil {
		c.checked, c.retryAt = false, time.Now().Add(recheckPause)
		return nil //nolint:nilerr // it is tried again
	}
	c.checked, c.lost = true, len(gaps) > 0
	if !c.lost {
		return nil
	}
	return &broadcast.GapError{Gaps: gaps}
}

// epochsOf returns the leader epochs of the stream's vectors: the cursor's own for what it has not moved on from, and the
// gateway's for the rest.
func (c *claim) epochsOf(source Source) func(broadcast.Vector) []int32 {
	cursor, own := c.cursor, c.epochs
	return func(v broadcast.Vector) []int32 {
		epochs, now := slices.Repeat([]int32{-1}, len(v)), source.Epochs()
		for p := range v {
			from := now
			if v[p] <= cursor.At(int32(p)) {
				from = own
			}
			if p < len(from) {
				epochs[p] = from[p]
			}
		}
		return epochs
	}
}
