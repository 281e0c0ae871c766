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

	checked bool            // it was held to Kafka's log
	under   []int32         // this gateway's epochs then
	lost    []broadcast.Gap // what lies before it that Kafka has taken back
	passed  bool            // by the log
	retryAt time.Time       // when it is to be held to Kafka's log again, where that failed
}

const (
	// checkPatience is how long a stream waits, before its headers are sent, for its cursor to be held to Kafka's log.
	checkPatience = time.Second
	// recheckPatience is how long one that runs does, recheckPause for how long it lets be then.
	recheckPatience = 200 * time.Millisecond
	recheckPause    = 500 * time.Millisecond
)

// open reports whether the stream may go on from its cursor.
func (c *claim) open() bool { return c.cursor == nil || (c.checked && len(c.lost) == 0) }

// waits reports whether there is nothing to do but to wait.
func (c *claim) waits() bool { return len(c.lost) == 0 && time.Now().Before(c.retryAt) }

// retry returns a channel that says when to try again.
func (c *claim) retry() <-chan struct{} {
	again := make(chan struct{})
	time.AfterFunc(time.Until(c.retryAt), func() { close(again) })
	return again
}

// hold holds the cursor to Kafka's log where that is due. Where Kafka can not be asked, the claim is not open then.
func (c *claim) hold(ctx context.Context, source Source, log *broadcast.Log) {
	if c.cursor == nil || c.passed || len(c.lost) > 0 || c.waits() {
		return
	}
	newest := log.Newest() // before the epochs: what the log has of a new leader's comes behind that leader's epoch
	if now := source.Epochs(); !c.checked || !slices.Equal(now, c.under) {
		ctx, cancel := context.WithTimeout(ctx, recheckPatience)
		defer cancel()
		c.check(ctx, source, now)
	}
	c.passed = c.checked && newest.Covers(c.cursor)
}

// check holds the cursor to Kafka's log, under the present epochs.
func (c *claim) check(ctx context.Context, source Source, now []int32) {
	gaps, err := source.Check(ctx, c.cursor, c.epochs)
	c.checked, c.under, c.lost = err == nil, now, gaps
	if err != nil {
		c.retryAt = time.Now().Add(recheckPause)
	}
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
