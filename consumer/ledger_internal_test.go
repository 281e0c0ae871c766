package consumer

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestNothingUnsettledIsPassed has a ledger go through a random life: bad records come, partitions are
// taken over and lost, tasks are done in part. Nothing is ever settled past a bad record that is not a
// dead letter, all of them become one, and in one claim each does once.
func TestNothingUnsettledIsPassed(t *testing.T) {
	for range 300 {
		seed := rand.Uint64()
		l := &life{t: t, seed: seed, chance: rand.New(rand.NewPCG(seed, 0)), ledger: newLedger(), dead: map[int64]int{}}
		l.next = l.chance.Int64N(50)
		l.start = l.next
		l.committed = -1
		l.ledger.open(0, l.start)
		for range 400 {
			l.step()
		}
		l.finish()
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

type life struct {
	t      *testing.T
	seed   uint64
	chance *rand.Rand
	ledger *ledger
	claim  *claim

	start, next int64
	committed   int64 // what the group has
	bad         []int64
	dead        map[int64]int
	once        map[int64]bool // those of this claim
}

func (l *life) step() {
	switch n := l.chance.IntN(10); {
	case n < 4: // a batch is decoded, and its bad records are met before the log has it
		end := l.next + 1 + l.chance.Int64N(5)
		for o := l.next; o < end; o++ {
			if l.chance.IntN(4) == 0 {
				l.bad = append(l.bad, o)
				l.ledger.bad(0, o)
				l.ledger.bad(0, l.bad[l.chance.IntN(len(l.bad))]) // again, as by one who reads for a cursor of old
			}
			if l.chance.IntN(20) == 0 {
				l.turn()
			}
		}
		l.next = end
	case n < 8:
		l.work(l.chance.IntN(3) == 0)
	case n < 9:
		l.commit()
	default:
		l.turn()
	}
}

// turn loses the partition, or takes it over.
func (l *life) turn() {
	if l.claim != nil {
		if l.chance.IntN(2) == 0 {
			l.commit()
		}
		l.ledger.release(l.claim)
		l.claim = nil
		return
	}
	l.claim, l.once = l.ledger.claim(0, l.committed, l.committed), map[int64]bool{}
}

func (l *life) work(half bool) {
	if l.claim == nil {
		return
	}
	task, ok := l.ledger.task(l.claim)
	if !ok {
		return
	}
	to := task.to
	if half && to-task.from > 1 {
		to = task.from + 1 + l.chance.Int64N(to-task.from-1)
	}
	for _, o := range l.bad {
		if o >= task.from && o < to && task.wants(o) {
			l.dead[o]++
			if l.once[o] {
				l.t.Errorf("the bad record at %d is a dead letter twice", o)
			}
			l.once[o] = true
			l.ledger.settle(l.claim, o+1, 1)
		}
	}
	l.ledger.settle(l.claim, to, 0)
}

func (l *life) commit() {
	if l.claim == nil {
		return
	}
	settled := l.ledger.settled(l.claim, l.next)
	if settled <= l.ledger.committed(l.claim) {
		return
	}
	for _, o := range l.bad {
		if o < settled && l.dead[o] == 0 {
			l.t.Errorf("%d is committed, and the bad record at %d is no dead letter", settled, o)
		}
	}
	l.ledger.setCommitted(l.claim, settled)
	l.committed = settled
}

func (l *life) finish() {
	if l.claim == nil {
		l.turn()
	}
	for range 10_000 {
		l.work(false)
	}
	l.commit()
	if l.committed != l.next && l.next > l.start {
		l.t.Errorf("committed %d of %d", l.committed, l.next)
	}
	if i := slices.IndexFunc(l.bad, func(o int64) bool { return l.dead[o] == 0 }); i >= 0 {
		l.t.Errorf("the bad record at %d is no dead letter", l.bad[i])
	}
}

func TestTooManyBadRecordsAreFoundByReading(t *testing.T) {
	l := newLedger()
	l.open(0, 0)
	c := l.claim(0, 0, 0)
	const n = maxPending + 1000
	for o := range int64(n) {
		l.bad(0, 2*o)
	}
	if len(c.pending) != maxPending {
		t.Fatalf("%d are remembered", len(c.pending))
	}
	dead := 0
	for {
		task, ok := l.task(c)
		if !ok {
			break
		}
		if settled := l.settled(c, 2*n); settled > task.from {
			t.Fatalf("settled up to %d, and at %d there is something to do", settled, task.from)
		}
		for o := range int64(n) {
			if task.from <= 2*o && 2*o < task.to && (task.only == nil || task.wants(2*o)) {
				dead++
			}
		}
		l.settle(c, task.to, 0)
	}
	if dead != n || l.settled(c, 2*n) != 2*n {
		t.Errorf("%d of %d found, settled up to %d", dead, n, l.settled(c, 2*n))
	}
}
