package fault

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"paystream/chaos/world"
)

// Alone returns the faults one after the other, those of some names or, without names, all. What chance
// decides, the seed does.
func Alone(seed uint64, quick bool, names ...string) []Step {
	rng := rand.New(rand.NewPCG(seed, 1))
	var steps []Step
	for _, f := range All() {
		s := Step{Fault: f.Name, Hold: f.Hold, Which: rng.IntN(1000)} // drawn for all, so that a choice changes no other
		if quick {
			s.Hold = f.Quick
		}
		if len(names) > 0 && !slices.Contains(names, f.Name) || s.Hold == 0 {
			continue
		}
		steps = append(steps, s)
	}
	return steps
}

// Storm returns faults at random over a time: several at once, of those that share something one after
// the other. The same seed gives the same steps; a longer time only adds to them.
func Storm(seed uint64, length time.Duration, quick bool) []Step {
	var steps []Step
	for i, lane := range []lane{brokers, gateways, links, topic} {
		steps = append(steps, stormLane(rand.New(rand.NewPCG(seed, uint64(2+i))), lane, length, quick)...)
	}
	slices.SortStableFunc(steps, func(a, b Step) int { return cmp.Compare(a.At, b.At) })
	return steps
}

func stormLane(rng *rand.Rand, of lane, length time.Duration, quick bool) []Step {
	var faults []Fault
	for _, f := range All() {
		if quick {
			f.Hold = f.Quick
		}
		if f.lane == of && f.Hold > 0 {
			faults = append(faults, f)
		}
	}
	var steps []Step
	for at := time.Duration(0); ; {
		at += seconds(rng, 1, 8)
		f := faults[rng.IntN(len(faults))]
		hold := f.Hold/2 + time.Duration(rng.Int64N(int64(f.Hold/2)))
		hold = hold.Round(100 * time.Millisecond)
		if at+hold+f.Mend > length {
			return steps
		}
		steps = append(steps, Step{At: at, Fault: f.Name, Hold: hold, Which: rng.IntN(1000)})
		at += hold + f.Mend
	}
}

func seconds(rng *rand.Rand, from, to int) time.Duration {
	const tenth = time.Second / 10
	return time.Duration(10*from+rng.IntN(10*(to-from))) * tenth
}

// RunStorm does the steps when they are due, or, where one of the same kind still goes on, behind it. It
// calls before each.
func RunStorm(ctx context.Context, w *world.World, steps []Step, before func(Step)) error {
	begin := time.Now()
	lanes := map[lane][]Step{}
	for _, s := range steps {
		f, _ := Find(s.Fault)
		lanes[f.lane] = append(lanes[f.lane], s)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	for _, own := range lanes {
		wg.Go(func() {
			for _, s := range own {
				if hold(ctx, time.Until(begin.Add(s.At))) != nil {
					return
				}
				before(s)
				if _, err := Run(ctx, w, s); err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
