package consumer

import (
	"slices"
	"sync"
)

// maxPending bounds how many bad records of a partition are remembered one by one. Those behind
// them are found again by reading.
const maxPending = 1 << 16

// ledger knows how far each partition is settled: all before that is in the log, or is a bad record
// that the dead-letter topic has acknowledged. Its methods are safe for concurrent use.
type ledger struct {
	mu       sync.Mutex
	accounts map[int32]*account
}

// account is what is known of a partition's bad records. The ledger's lock guards it.
type account struct {
	start int64  // where this gateway began to read
	seen  int64  // behind the last bad record that it has met
	claim *claim // nil while another gateway settles the partition
	dead  int64  // dead letters written
}

// claim is a partition that this gateway settles, for as long as one generation of the group. The
// ledger's lock guards what changes.
type claim struct {
	partition int32
	from      int64         // what lies before it is settled
	wake      chan struct{} // there are more bad records

	committed     int64   // what the group has; -1 is nothing
	scan, scanEnd int64   // what is to be read again to find its bad records, if anything
	pending       []int64 // bad records behind that, met since
	spill         int64   // from here on they are not in pending; -1 is not
}

func newLedger() *ledger { return &ledger{accounts: map[int32]*account{}} }

// open enters a partition, which is read from start on.
func (l *ledger) open(partition int32, start int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.accounts[partition] = &account{start: start, seen: start}
}

// bad enters a bad record. Of one partition they come in order; what comes again is passed over.
func (l *ledger) bad(partition int32, offset int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.accounts[partition]
	if a == nil || offset < a.seen {
		return
	}
	a.seen = offset + 1
	c := a.claim
	switch {
	case c == nil || offset < c.from || c.spill >= 0:
		return
	case len(c.pending) == maxPending:
		c.spill = offset
		return
	}
	c.pending = append(c.pending, offset)
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// start returns where this gateway began to read a partition.
func (l *ledger) start(partition int32) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.accounts[partition].start
}

// claim takes a partition over from an offset on, of which the group has committed so much, -1 where that is nothing.
// What this gateway has met of bad records since is read again, since another may have left them.
func (l *ledger) claim(partition int32, from, committed int64) *claim {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.accounts[partition]
	a.claim = &claim{
		partition: partition, from: from, wake: make(chan struct{}, 1), committed: committed,
		scan: from, scanEnd: max(from, a.seen), spill: -1,
	}
	return a.claim
}

// release ends a claim.
func (l *ledger) release(c *claim) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.accounts[c.partition]; a.claim == c {
		a.claim = nil
	}
}

// task is records to be read again.
type task struct {
	from, to int64
	only     []int64 // the bad ones among them; nil is not known
	many     bool
}

// maxTask is how many bad records are dealt with at a time, at most.
const maxTask = 4096

// task returns what is to be done first, if there is anything.
func (l *ledger) task(c *claim) (task, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case c.scan < c.scanEnd:
		return task{from: c.scan, to: c.scanEnd, many: true}, true
	case len(c.pending) > 0:
		only := slices.Clone(c.pending[:min(len(c.pending), maxTask)])
		return task{from: only[0], to: only[len(only)-1] + 1, only: only, many: len(only) > maxTask/64}, true
	}
	return task{}, false
}

// settle enters that a task is done up to an offset, and how many dead letters that took.
func (l *ledger) settle(c *claim, next int64, letters int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.accounts[c.partition]
	a.dead += int64(letters)
	if c.scan < c.scanEnd {
		c.scan = min(max(c.scan, next), c.scanEnd)
		return
	}
	n, _ := slices.BinarySearch(c.pending, next)
	c.pending = c.pending[n:]
	if len(c.pending) > 0 {
		return
	}
	c.pending = nil
	if c.spill >= 0 {
		c.scan, c.scanEnd, c.spill = c.spill, a.seen, -1
	}
}

// settled returns up to where a claimed partition is settled that the log has up to next.
func (l *ledger) settled(c *claim, next int64) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case c.scan < c.scanEnd:
		return min(c.scan, next)
	case len(c.pending) > 0:
		return min(c.pending[0], next)
	}
	return next
}

// committed returns what the group has, or -1.
func (l *ledger) committed(c *claim) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return c.committed
}

func (l *ledger) setCommitted(c *claim, offset int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.committed = offset
}

// balance is what an account shows.
type balance struct {
	owned     bool
	committed int64 // -1 where it is not owned, or there is nothing
	dead      int64
	pending   int64 // at the least: those that are still to be found are not in it
}

func (l *ledger) balance(partition int32) balance {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.accounts[partition]
	if a == nil {
		return balance{committed: -1}
	}
	b := balance{committed: -1, dead: a.dead}
	if c := a.claim; c != nil {
		b.owned, b.committed, b.pending = true, c.committed, int64(len(c.pending))
	}
	return b
}
