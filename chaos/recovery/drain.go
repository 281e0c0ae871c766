package recovery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"paystream/chaos/report"
	"paystream/chaos/subscriber"
	"paystream/chaos/world"
	"paystream/internal/clienttest"
)

const (
	crowd        = 1000
	crowdRate    = 20 // payments a second, to each of them
	drainTimeout = 10 * time.Second
	window       = 50 * time.Millisecond
	joinPatience = time.Minute
	joinAtOnce   = 20
	joinEvery    = 100 * time.Millisecond
)

// drained stops a gateway that has a thousand subscribers.
func drained(ctx context.Context, w *world.World, tell func(string)) (_ []report.Recovery, err error) {
	tell(fmt.Sprintf("recovery: a gateway with %d subscribers is drained", crowd))
	w.Traffic.Rate(crowdRate)
	defer w.Traffic.Rate(w.Rate)
	subscribers, stop := gather(ctx, w)
	defer stop()
	if err := await(ctx, subscribers, time.Time{}); err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	// On a busy machine some have waited for too long, and gone to another.
	subscribers = slices.DeleteFunc(slices.Clone(subscribers), func(s *subscriber.Subscriber) bool {
		where, _ := s.Stream()
		return where != 0
	})
	begin := time.Now()
	if err := w.Gateways[0].Process().Terminate(drainTimeout + 5*time.Second); err != nil {
		return nil, err
	}
	took := time.Since(begin)
	err = await(ctx, subscribers, begin)
	var opened []time.Time
	var after []time.Duration
	for _, s := range subscribers {
		_, since := s.Stream()
		opened = append(opened, since)
		after = append(after, since.Sub(begin))
	}
	densest := float64(most(opened, window)) / float64(max(1, len(opened)))
	again, cancel := context.WithTimeout(ctx, joinPatience)
	defer cancel()
	err = errors.Join(err, w.Gateways[0].Restart(), w.Gateways[0].AwaitReady(again))
	return []report.Recovery{
		{
			What: fmt.Sprintf("gateway with %d subscribers, SIGTERM -> its end", len(subscribers)), Times: 1, Spread: report.SpreadOf([]time.Duration{took}),
			Target: "within DRAIN_TIMEOUT, 10 s", Met: took < drainTimeout && len(subscribers) > crowd/2,
		},
		{
			What: "SIGTERM -> a subscriber asks for the stream that it goes on with", Times: len(after), Spread: report.SpreadOf(after),
			Target: fmt.Sprintf("not more than 10 %% in any 50 ms: %.1f %%", 100*densest), Met: densest <= 0.1,
		},
	}, err
}

// gather starts a thousand newcomers at the first gateway, who go on at the others.
func gather(ctx context.Context, w *world.World) (subscribers []*subscriber.Subscriber, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	protocols := clienttest.Protocols()
	for i := range crowd {
		p := protocols[i%len(protocols)]
		s := subscriber.New(subscriber.Config{
			Name: fmt.Sprintf("%s, of the crowd, %d", p.Name, i), Protocol: p, Habit: subscriber.Steady,
			Gateways: w.Addresses(), First: 0, Seed: uint64(i), Judge: w.Judge, Turn: i,
		})
		subscribers = append(subscribers, s)
		if i%joinAtOnce == 0 {
			time.Sleep(joinEvery)
		}
		running.Go(func() { s.Run(ctx) })
	}
	return subscribers, func() {
		cancel()
		running.Wait()
		for _, s := range subscribers {
			s.Track.Left()
		}
	}
}

// await waits until each has a stream that was asked for after a time.
func await(ctx context.Context, subscribers []*subscriber.Subscriber, after time.Time) error {
	for end := time.Now().Add(joinPatience); ; time.Sleep(50 * time.Millisecond) {
		missing := 0
		for _, s := range subscribers {
			if _, since := s.Stream(); !since.After(after) {
				missing++
			}
		}
		if missing == 0 || ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Now().After(end) {
			return fmt.Errorf("%d of %d have no stream", missing, len(subscribers))
		}
	}
}

// most is the greatest number of times within one window.
func most(times []time.Time, window time.Duration) (n int) {
	slices.SortFunc(times, time.Time.Compare)
	for from, to := 0, 0; to < len(times); to++ {
		for times[to].Sub(times[from]) > window {
			from++
		}
		n = max(n, to-from+1)
	}
	return n
}
