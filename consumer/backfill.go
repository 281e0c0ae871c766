package consumer

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"paystream/broadcast"
)

const (
	// What counts where the settings do not say.
	defaultReplays = 4
	defaultTurn    = 15 * time.Second
	// gatherFor is how long the first that comes waits for others: those that a gateway has let go come back together,
	// and share a replay that begins where the last of them stands.
	gatherFor = 25 * time.Millisecond
	// nearby is how many offsets, over all partitions, a reader may stand away from a replay to be served by it:
	// what is read in less time than a replay takes to begin.
	nearby = 50_000
)

// Backfill is one reader's claim to what lies before the log, or its place in the queue for it. Readers that stand
// near each other share a replay: a log that is filled from Kafka at the pace of the farthest of them.
// Its methods are safe for concurrent use.
type Backfill struct {
	all  *backfills
	from broadcast.Vector

	replay  atomic.Pointer[replay] // nil while it waits for its turn
	granted chan struct{}
}

// Ready returns a channel that is closed when Log returns a log.
func (b *Backfill) Ready() <-chan struct{} { return b.granted }

// Log returns a log from which the reader can go on, or nil before Ready. Only what Kafka itself no longer has is
// missing there: it is a gap. The log is filled on until Over, or until all have left it.
func (b *Backfill) Log() *broadcast.Log {
	select {
	case <-b.granted:
		return b.replay.Load().log
	default:
		return nil
	}
}

// Over reports that the log is not filled any more: it was another one's turn. Its readers are woken then.
func (b *Backfill) Over() bool {
	r := b.replay.Load()
	return r != nil && r.over.Load()
}

// Leave gives the claim up. It is to be called once.
func (b *Backfill) Leave() { b.all.leave(b) }

// Backfill asks for a log that goes on from a cursor, without waiting for it. At most so many replays run at once as
// the settings say; other readers wait for their turn in the order in which they came.
func (c *Consumer) Backfill(from broadcast.Vector) *Backfill {
	return c.backfills.join(&Backfill{all: c.backfills, from: from.Clone(), granted: make(chan struct{})})
}

// backfills are all claims to what lies before the log.
type backfills struct {
	c     *Consumer
	limit int
	turn  time.Duration

	mu      sync.Mutex
	ctx     context.Context //nolint:containedctx // Run's; nil before it
	queue   []*Backfill     // those without a replay, in the order in which they came
	running []*replay
	// gathering says that next will be called soon.
	gathering bool
	done      sync.WaitGroup

	started atomic.Int64
	records atomic.Int64 // appended by replays
}

func newBackfills(c *Consumer) *backfills {
	return &backfills{
		c: c, limit: cmp.Or(max(0, c.cfg.Replays), defaultReplays), turn: cmp.Or(max(0, c.cfg.ReplayTurn), defaultTurn),
	}
}

// run serves claims until ctx ends.
func (a *backfills) run(ctx context.Context) {
	a.mu.Lock()
	a.ctx = ctx
	a.next() //nolint:contextcheck // it is the same
	a.mu.Unlock()
	<-ctx.Done()
	a.done.Wait()
}

func (a *backfills) join(b *Backfill) *Backfill {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.queue = append(a.queue, b)
	if a.seat(); !a.gathering && len(a.queue) > 0 {
		a.gathering = true
		time.AfterFunc(gatherFor, a.gathered)
	}
	return b
}

func (a *backfills) gathered() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.gathering = false
	a.next()
}

// next holds mu and begins replays for those that have waited longest.
func (a *backfills) next() {
	for a.ctx != nil && a.ctx.Err() == nil && len(a.queue) > 0 && len(a.running) < a.limit {
		r := a.c.newReplay(a.from())
		ctx, cancel := context.WithCancel(a.ctx)
		r.cancel = cancel
		r.take(a.queue[0])
		a.queue = a.queue[1:]
		a.running = append(a.running, r)
		a.started.Add(1)
		a.seat()
		a.done.Go(func() {
			defer a.end(r) //nolint:contextcheck // Run's serves those that follow
			r.run(ctx)
		})
	}
}

// from holds mu and returns where a replay is to begin: where the first in the queue stands, or those near it.
func (a *backfills) from() broadcast.Vector {
	first := a.queue[0].from
	at := first.Clone()
	for _, b := range a.queue[1:] {
		if distance(b.from, first) <= nearby {
			for p := range at {
				at[p] = min(at[p], b.from.At(int32(p)))
			}
		}
	}
	return at
}

// distance returns how many offsets one vector is behind another.
func distance(behind, v broadcast.Vector) int64 {
	var n int64
	for p, offset := range v {
		n += max(0, offset-behind.At(int32(p)))
	}
	return n
}

// seat holds mu and gives those in the queue to the replays that can serve them by now.
func (a *backfills) seat() {
	if len(a.running) == 0 {
		return
	}
	a.queue = slices.DeleteFunc(a.queue, func(b *Backfill) bool {
		i := slices.IndexFunc(a.running, func(r *replay) bool { return r.serves(b.from) })
		if i >= 0 {
			a.running[i].take(b)
		}
		return i >= 0
	})
}

// pass is called by a replay now and then. It reports whether the replay goes on.
func (a *backfills) pass(r *replay) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seat()
	return len(a.queue) == 0 || time.Since(r.began) < a.turn
}

// prepared lets in those that have waited for a replay to begin.
func (a *backfills) prepared(r *replay) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r.letIn()
}

func (a *backfills) leave(b *Backfill) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.queue = slices.DeleteFunc(a.queue, func(other *Backfill) bool { return other == b })
	r := b.replay.Load()
	if r == nil {
		return
	}
	r.readers = slices.DeleteFunc(r.readers, func(other *Backfill) bool { return other == b })
	if len(r.readers) == 0 {
		r.over.Store(true) // it takes nobody any more
		r.cancel()
	}
}

// end is called when a replay has ended, whyever.
func (a *backfills) end(r *replay) {
	r.cancel()
	a.mu.Lock()
	a.running = slices.DeleteFunc(a.running, func(other *replay) bool { return other == r })
	r.over.Store(true)
	r.letIn()
	a.next()
	a.mu.Unlock()
	r.log.Wake() // its readers, to look at Over
}

// figures returns how many replays run and how many readers wait for one.
func (a *backfills) figures() (running, waiting int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.running), len(a.queue)
}
