//go:build kafka

package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	paymentpb "paystream/gen/payment"
	"paystream/internal/clienttest"
	"paystream/internal/kafkatest"
)

// loadCrowd is the subscribers of a load, each on a connection of its own.
type loadCrowd struct {
	ctx      context.Context //nolint:containedctx // of all its streams
	cancel   func()
	address  string
	ends     []int64
	progress []*atomic.Int64 // payments read, by reader
	failed   chan error
	close    []func()
}

func newLoad(t *testing.T, i *instance, ends []int64) *loadCrowd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	l := &loadCrowd{ctx: ctx, cancel: cancel, address: i.address, ends: ends, failed: make(chan error, 1)}
	t.Cleanup(l.leave)
	return l
}

// stall adds n subscribers, over all protocols in turn, that never read.
func (l *loadCrowd) stall(t *testing.T, n int) {
	t.Helper()
	protocols := clienttest.Protocols()
	for i := range n {
		c := protocols[i%len(protocols)].Dial(l.address, clienttest.SmallBuffers)
		s, err := c.Open(l.ctx, &paymentpb.StreamPaymentsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		l.close = append(l.close, s.Close, c.Close)
	}
}

// join adds n readers: three of each protocol, and the rest the cheapest ones.
func (l *loadCrowd) join(t *testing.T, n int) {
	t.Helper()
	protocols := clienttest.Protocols()
	for i := range n {
		if i < 3*len(protocols) {
			l.joinWith(t, protocols[i%len(protocols)])
			continue
		}
		r, err := dialLoad(l.address, i%2 == 0, len(l.ends))
		if err != nil {
			t.Fatal(err)
		}
		l.progress = append(l.progress, &r.read)
		l.close = append(l.close, func() { r.conn.Close() })
		go func() { l.report(r.run(l.total())) }()
	}
}

func (l *loadCrowd) joinWith(t *testing.T, p clienttest.Protocol) {
	t.Helper()
	f, err := follow(l.ctx, p, l.address, len(l.ends), &paymentpb.StreamPaymentsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var read atomic.Int64
	l.progress = append(l.progress, &read)
	l.close = append(l.close, f.close)
	go func() {
		for range l.total() {
			if err := f.take(); err != nil {
				l.report(fmt.Errorf("%s: %w", f.name, err))
				return
			}
			read.Add(1)
		}
	}()
}

// report keeps the first failure.
func (l *loadCrowd) report(err error) {
	if err == nil {
		return
	}
	select {
	case l.failed <- err:
	default:
	}
}

func (l *loadCrowd) total() int64 {
	n := int64(0)
	for _, end := range l.ends {
		n += end
	}
	return n
}

// slowest is how many payments every reader has.
func (l *loadCrowd) slowest() int64 {
	least := l.total()
	for _, read := range l.progress {
		least = min(least, read.Load())
	}
	return least
}

// awaitAll waits until every reader has n payments.
func (l *loadCrowd) awaitAll(t *testing.T, n int64) {
	t.Helper()
	for l.slowest() < n {
		select {
		case err := <-l.failed:
			t.Fatalf("a reader ended: %v", err)
		case <-l.ctx.Done():
			t.Fatalf("the slowest reader has %d of %d", l.slowest(), n)
		case <-time.After(time.Millisecond):
		}
	}
}

// leave closes all connections.
func (l *loadCrowd) leave() {
	l.cancel()
	for _, f := range l.close {
		f()
	}
	l.close = nil
}

// pacer produces at a steady rate, but never so far ahead of the slowest reader that it would fall
// out of the window: on a machine that is too slow the test takes longer, and says so.
type pacer struct {
	load     *loadCrowd
	producer *kafkatest.Producer
	topic    string
	next     []int64
	held     time.Duration // of its time, by the slowest
}

const paceEvery = 100 * time.Millisecond

// produce produces so many payments in each partition, and returns when everybody has them.
func (p *pacer) produce(t *testing.T, each int) {
	t.Helper()
	tick := time.NewTicker(paceEvery)
	defer tick.Stop()
	perTick := int(loadPerSecond*paceEvery/time.Second)/len(p.next) + 1
	for each > 0 {
		<-tick.C
		n := min(each, perTick)
		each -= n
		p.producer.Produce(t, p.topic, placed(p.next, n)...)
		begin := time.Now()
		p.load.awaitAll(t, p.produced()-loadRetain/2)
		p.held += time.Since(begin)
	}
	p.load.awaitAll(t, p.produced())
}

func (p *pacer) produced() int64 {
	n := int64(0)
	for _, next := range p.next {
		n += next
	}
	return n
}
