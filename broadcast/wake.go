package broadcast

import "sync/atomic"

const (
	// wakeTogether is how many waiters share a channel. With one for all of them, those that wake and
	// wait anew are in the way of the one that wakes the rest: with 10,000 on two cores that took 10 ms
	// and more, in groups of 256 it takes 7.
	wakeTogether = 256
	// wakeInline is how many waiters the appender wakes itself: up to about here that costs less than
	// to start a goroutine for it.
	wakeInline = 16
)

// waiters are the goroutines that wait for one thing to happen. The zero value has none.
//
// They share channels that are closed when it happens. A channel is made when somebody waits, so that
// what nobody waits for costs one load.
type waiters struct {
	last atomic.Pointer[group]
}

// group is waiters that share a channel.
type group struct {
	ready  chan struct{}
	asked  atomic.Int32 // how often somebody was given the channel
	before *group
}

// wait returns a channel that is closed once it has happened. Whoever waits must look, after this and
// before waiting, whether it has happened already.
func (w *waiters) wait() <-chan struct{} {
	for {
		last := w.last.Load()
		if last != nil && last.asked.Add(1) <= wakeTogether {
			return last.ready
		}
		g := &group{ready: make(chan struct{}), before: last}
		g.asked.Store(1)
		if w.last.CompareAndSwap(last, g) {
			return g.ready
		}
	}
}

// take returns those that wait at this moment, for [group.wake]; nil is nobody. It is to be called when
// what they wait for is there to be seen.
func (w *waiters) take() *group {
	if w.last.Load() == nil {
		return nil
	}
	return w.last.Swap(nil)
}

// wake wakes the group and those before it. To make 10,000 goroutines ready takes a millisecond and
// more: that is left to a goroutine, which does that and ends.
func (g *group) wake() {
	if g != nil && g.before == nil && g.asked.Load() <= wakeInline {
		close(g.ready)
	} else if g != nil {
		go g.wakeAll()
	}
}

func (g *group) wakeAll() {
	for ; g != nil; g = g.before {
		close(g.ready)
	}
}
