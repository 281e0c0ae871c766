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
// the other. Once, in the middle, the topic is made anew, when all that began before has ended: a gateway that
// is frozen or cut off then could not know, and would take the new topic's cursors for another's. The same seed
// and length give the same steps.
func Storm(seed uint64, length time.Duration, quick bool) []Step {
	f, _ := Find(anew)
	took := f.Hold + f.Mend
	if !quick { // a quick one has no time for it
		length -= took
	}
	var steps []Step
	for i, lane := range []lane{brokers, gateways, links, topic} {
		steps = append(steps, stormLane(rand.New(rand.NewPCG(seed, uint64(2+i))), lane, length, quick)...)
	}
	slices.SortStableFunc(steps, func(a, b Step) int { return cmp.Compare(a.At, b.At) })
	if quick || len(steps) == 0 {
		return steps
	}
	middle := len(steps) / 2
	step := Step{At: steps[middle].At, Fault: anew, Hold: f.Hold, Which: rand.New(rand.NewPCG(seed, 0)).IntN(1000)}
	for i := middle; i < len(steps); i++ {
		steps[i].At += took
	}
	return slices.Insert(steps, middle, step)
}

// anew is the fault that none other may go along with.
const anew = "recreate"

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
// calls before each. What it returns is of the one fault that is alone in the middle.
func RunStorm(ctx context.Context, w *world.World, steps []Step, before func(Step)) (Outcome, error) {
	middle := slices.IndexFunc(steps, func(s Step) bool { return s.Fault == anew })
	if middle < 0 {
		return Outcome{}, runTogether(ctx, w, steps, 0, before)
	}
	err := runTogether(ctx, w, steps[:middle], 0, before)
	if err != nil || ctx.Err() != nil {
		return Outcome{}, err
	}
	before(steps[middle])
	out, err := Run(ctx, w, steps[middle])
	if err != nil {
		return out, err
	}
	rest := steps[middle+1:]
	return out, runTogether(ctx, w, rest, rest[0].At, before)
}

// runTogether does steps whose times are since some time.
func runTogether(ctx context.Context, w *world.World, steps []Step, since time.Duration, before func(Step)) error {
	begin := time.Now().Add(-since)
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
