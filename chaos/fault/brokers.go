package fault

import (
	"context"
	"fmt"
	"slices"
	"time"

	"paystream/chaos/world"
)

// leaderKill kills the leader of a partition, and says how soon Kafka and the subscribers had recovered.
func leaderKill(ctx context.Context, w *world.World, s Step) (Outcome, error) {
	before, err := w.Cluster.Leaders(ctx, world.Topic)
	if err != nil {
		return Outcome{}, err
	}
	victim := before[s.Which%len(before)]
	if victim < 1 {
		return Outcome{Note: "the partition had no leader"}, hold(ctx, s.Hold)
	}
	var elected time.Time
	err = w.Cluster.Fail(ctx, victim, false, func() {
		elected = awaitElection(ctx, w, before, victim)
		_ = hold(ctx, s.Hold)
	})
	out := Outcome{Note: fmt.Sprintf("broker %d, no new leader seen", victim)}
	if !elected.IsZero() {
		out.Note = fmt.Sprintf("broker %d; streaming %.2f s after Kafka's new leaders", victim, afterElection(w, before, victim, elected).Seconds())
	}
	return out, err
}

// awaitElection returns when all partitions of a dead broker have another leader.
func awaitElection(ctx context.Context, w *world.World, before []int, victim int) time.Time {
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		now, err := w.Cluster.Leaders(ctx, world.Topic)
		if err == nil && len(now) >= len(before) && !slices.Contains(now, victim) && !slices.Contains(now, -1) {
			return time.Now()
		}
	}
	return time.Time{}
}

// afterElection is how long after an election the last of the steady subscribers had something of each
// partition that was without a leader.
func afterElection(w *world.World, before []int, victim int, elected time.Time) (latest time.Duration) {
	for _, s := range w.Steady() {
		for p, leader := range before {
			if span := s.Times.LongestOf(int32(p)); leader == victim && span.To.After(elected) {
				latest = max(latest, span.To.Sub(elected))
			}
		}
	}
	return latest
}

func rollingRestart(ctx context.Context, w *world.World, s Step) (Outcome, error) {
	begin := time.Now()
	for id := 1; id <= 3; id++ {
		if err := w.Cluster.Fail(ctx, id, true, func() { _ = hold(ctx, s.Hold) }); err != nil {
			return Outcome{}, fmt.Errorf("broker %d: %w", id, err)
		}
	}
	return Outcome{Note: fmt.Sprintf("all three in %.0f s", time.Since(begin).Seconds())}, nil
}
