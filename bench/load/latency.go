package load

import (
	"errors"
	"slices"
	"time"
)

// Quantiles are of a distribution of times.
type Quantiles struct {
	Count          int
	P50, P99, P999 time.Duration
	Max            time.Duration
}

// Latencies are those of all deliveries of a run.
type Latencies struct {
	// SincePublished is from when a payment was handed to Kafka, or in a baseline to its subscribers.
	SincePublished Quantiles
	// SinceFirst is from when the first subscriber had it: what fanning it out adds.
	SinceFirst Quantiles
}

// latencies returns a run's, given when each payment was published, in Unix nanoseconds;
// one that is 0 does not count.
func (r *run) latencies(sent []int64) (Latencies, error) {
	first := make([]int64, len(sent))
	var since, spread []time.Duration
	for _, s := range r.subscribers {
		if s.came == nil {
			continue
		}
		if len(s.came) != len(sent) {
			return Latencies{}, errors.New("the times of other payments are known than those that came")
		}
		for i, at := range s.came {
			if at != 0 && (first[i] == 0 || at < first[i]) {
				first[i] = at
			}
		}
	}
	for _, s := range r.subscribers {
		for i, at := range s.came {
			if from := sent[i]; at != 0 && from != 0 { //nolint:gosec // of the same length, or nil
				since = append(since, time.Duration(at-from))
				spread = append(spread, time.Duration(at-first[i]))
			}
		}
	}
	return Latencies{SincePublished: QuantilesOf(since), SinceFirst: QuantilesOf(spread)}, nil
}

// QuantilesOf returns those of some times, which it sorts.
func QuantilesOf(d []time.Duration) Quantiles {
	if len(d) == 0 {
		return Quantiles{}
	}
	slices.Sort(d)
	at := func(q float64) time.Duration { return d[min(int(q*float64(len(d))), len(d)-1)] }
	return Quantiles{Count: len(d), P50: at(0.5), P99: at(0.99), P999: at(0.999), Max: d[len(d)-1]}
}
