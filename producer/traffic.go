package producer

import (
	"container/heap"
	"math"
	"slices"
	"time"

	"paystream/payment"
)

// maxOpen is how many payments are kept for a later step. Beyond it payments are settled as they
// begin, and from the half of it on none is refunded.
const maxOpen = 10_000

// Traffic makes the records of a shop in the order in which they come. Payments begin, and what has
// begun completes or fails, and what has completed is sometimes refunded: each step is another
// record of the same payment, with the same key. The same seed and times give the same records. It
// is not safe for concurrent use.
type Traffic struct {
	sampler *Sampler
	open    steps
}

// NewTraffic returns Traffic whose amounts are meant in those units, as those of NewSampler.
func NewTraffic(seed uint64, units payment.Units) *Traffic {
	return &Traffic{sampler: NewSampler(seed, units)}
}

// Next returns the record that comes at that time: the oldest step that is due, or a new payment.
// The times of all calls only grow.
func (t *Traffic) Next(at time.Time) Record {
	if len(t.open) > 0 && !t.open[0].due.After(at) {
		return t.step(at)
	}
	return t.begin(at)
}

// History returns the records of so many payments that began between two times, and of what became
// of them up to the second, by their times. What became of them later comes from Next.
func (t *Traffic) History(payments int, from, to time.Time) []Record {
	records := make([]Record, 0, 2*payments)
	for _, at := range t.arrivals(payments, from, to) {
		records = t.settle(records, at)
		records = append(records, t.begin(at))
	}
	return t.settle(records, to)
}

// settle appends the steps that are due by a time, each at its own.
func (t *Traffic) settle(records []Record, until time.Time) []Record {
	for len(t.open) > 0 && !t.open[0].due.After(until) {
		records = append(records, t.step(t.open[0].due))
	}
	return records
}

// arrivals are times between two, as those of customers who know nothing of each other, with a few
// busier and quieter spells.
func (t *Traffic) arrivals(n int, from, to time.Time) []time.Time {
	const spells = 3
	rng := t.sampler.rng
	phase := rng.Float64()
	at := make([]float64, n)
	sum := 0.0
	for i := range at {
		rate := 1 + 0.6*math.Sin(2*math.Pi*(phase+spells*float64(i)/float64(n)))
		sum += rng.ExpFloat64() / rate
		at[i] = sum
	}
	sum += rng.ExpFloat64()
	times := make([]time.Time, n)
	for i := range at {
		times[i] = from.Add(time.Duration(at[i] / sum * float64(to.Sub(from)))).Truncate(time.Millisecond)
	}
	return slices.Clip(times)
}

// begin makes a new payment.
func (t *Traffic) begin(at time.Time) Record {
	rng := t.sampler.rng
	p := t.sampler.sample(at)
	if rng.IntN(10) < 3 || len(t.open) >= maxOpen { // settled at once
		return t.enter(p, t.outcome(), at)
	}
	took := 1 + rng.ExpFloat64()*5
	if rng.IntN(25) == 0 {
		took *= 20 // a bank that has to be asked
	}
	t.later(p, t.outcome(), at, took)
	return p.in(pending, at)
}

// outcome is what becomes of a payment.
func (t *Traffic) outcome() state {
	if t.sampler.rng.IntN(100) < 9 {
		return failed
	}
	return completed
}

// enter makes the record of a payment's new state, and decides whether that is its last.
func (t *Traffic) enter(p *sample, st state, at time.Time) Record {
	if rng := t.sampler.rng; st == completed && rng.IntN(100) < 5 && len(t.open) < maxOpen/2 {
		t.later(p, refunded, at, 20+rng.ExpFloat64()*240)
	}
	return p.in(st, at)
}

func (t *Traffic) later(p *sample, st state, at time.Time, seconds float64) {
	due := at.Add(time.Duration(seconds * float64(time.Second))).Truncate(time.Millisecond)
	heap.Push(&t.open, step{p, st, due})
}

// step takes the payment that is due first into its next state.
func (t *Traffic) step(at time.Time) Record {
	next := heap.Pop(&t.open).(step) //nolint:errcheck,forcetypeassert // a heap of steps
	return t.enter(next.payment, next.state, at)
}

// step is what a payment will come to, and when.
type step struct {
	payment *sample
	state   state
	due     time.Time
}

// steps is a heap, the one due first at its top.
type steps []step

func (s *steps) Len() int           { return len(*s) }
func (s *steps) Less(i, j int) bool { return (*s)[i].due.Before((*s)[j].due) }
func (s *steps) Swap(i, j int)      { (*s)[i], (*s)[j] = (*s)[j], (*s)[i] }
func (s *steps) Push(x any)         { *s = append(*s, x.(step)) } //nolint:errcheck,forcetypeassert // a heap of steps
func (s *steps) Pop() any {
	last := len(*s) - 1
	x := (*s)[last]
	(*s)[last] = step{}
	*s = (*s)[:last]
	return x
}
