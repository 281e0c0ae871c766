package server_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"paystream/broadcast"
	"paystream/server"
)

// source is a topic that the test says all of.
type source struct {
	history
	fingerprint server.Fingerprint
	epoch       atomic.Int32           // leader epoch of all partitions
	reason      atomic.Pointer[string] // why it is not ready; nil is ready
}

func (s *source) Fingerprint() server.Fingerprint { return s.fingerprint }

func (s *source) Epochs() []int32 {
	return slices.Repeat([]int32{s.epoch.Load()}, len(s.next))
}

func (s *source) Ready() (bool, string) {
	if reason := s.reason.Load(); reason != nil {
		return false, *reason
	}
	return true, ""
}

// history is all that the topic ever had, in memory.
type history struct {
	mu      sync.Mutex
	batches []broadcast.Batch
	next    broadcast.Vector
	lost    broadcast.Vector // what is before it
	ends    map[int32]int64  // where leader epochs have ended
	away    bool             // Kafka does not say so
	held    bool             // nobody gets a turn
	claims  []*claim
	asked   int // how often a backfill was asked for
}

// claim is a backfill.
type claim struct {
	history *history
	from    broadcast.Vector
	log     *broadcast.Log
	ready   chan struct{}
	over    bool
}

func (h *history) add(b broadcast.Batch) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.batches = append(h.batches, b)
	h.next[b.Partition] = b.Next
	for _, c := range h.claims {
		if c.log != nil && !c.over {
			c.append(b)
		}
	}
}

func (h *history) Since(_ context.Context, t time.Time) (broadcast.Vector, []int32, error) {
	if t.Before(time.Unix(0, 0)) {
		return nil, nil, errors.New("the broker's name is a secret")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	at := h.next.Clone()
	for _, b := range slices.Backward(h.batches) {
		for _, r := range slices.Backward(b.Records) {
			if r.Time >= t.UnixMilli() {
				at[b.Partition] = r.Offset
			}
		}
	}
	return at, nil, nil
}

func (h *history) CheckTopic(context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.away {
		return errors.New("the broker's name is a secret")
	}
	return nil
}

// Check says of a partition with an epoch in ends that the epoch ended there.
func (h *history) Check(_ context.Context, cursor broadcast.Vector, epochs []int32) ([]broadcast.Gap, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.away {
		return nil, errors.New("nobody answers")
	}
	var gaps []broadcast.Gap
	for p, epoch := range epochs {
		if end, ok := h.ends[epoch]; ok && end < cursor[p] {
			gaps = append(gaps, broadcast.Gap{Partition: int32(p), From: cursor[p], To: end})
		}
	}
	return gaps, nil
}

func (h *history) Backfill(from broadcast.Vector) server.Backfill {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := &claim{history: h, from: from.Clone(), ready: make(chan struct{})}
	h.claims = append(h.claims, c)
	h.asked++
	if !h.held {
		c.grant()
	}
	return c
}

// grant holds mu.
func (c *claim) grant() {
	c.log = broadcast.NewPaced(broadcast.Limits{})
	for p := range c.history.next {
		c.log.Open(int32(p), c.from.At(int32(p)))
		c.log.Gap(int32(p), c.history.lost.At(int32(p)))
	}
	for _, b := range c.history.batches {
		c.append(b)
	}
	close(c.ready)
}

// append holds mu.
func (c *claim) append(b broadcast.Batch) {
	b.Records = slices.DeleteFunc(slices.Clone(b.Records), func(r broadcast.Record) bool { return r.Offset < c.log.Newest().At(b.Partition) })
	c.log.Append(b)
}

// release lets those that wait have their turn.
func (h *history) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held = false
	for _, c := range h.claims {
		if c.log == nil {
			c.grant()
		}
	}
}

// end says that all turns are over.
func (h *history) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.claims {
		if c.over = true; c.log != nil {
			c.log.Wake()
		}
	}
}

func (h *history) open() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.claims)
}

func (c *claim) Ready() <-chan struct{} { return c.ready }

func (c *claim) Log() *broadcast.Log {
	c.history.mu.Lock()
	defer c.history.mu.Unlock()
	return c.log
}

func (c *claim) Over() bool {
	c.history.mu.Lock()
	defer c.history.mu.Unlock()
	return c.over
}

func (c *claim) Leave() {
	c.history.mu.Lock()
	defer c.history.mu.Unlock()
	c.history.claims = slices.DeleteFunc(c.history.claims, func(other *claim) bool { return other == c })
}

func (h *history) setEnds(ends map[int32]int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ends = ends
}

func (h *history) setAway(away bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.away = away
}
