package fault

import (
	"context"
	"fmt"
	"slices"
	"time"

	"paystream/chaos/world"
)

// Election is what followed the death of a leader.
type Election struct {
	Victim       int
	Partitions   []int32             // those that it led
	Killed       time.Time           // when it was
	Elected      time.Time           // when all of them had another leader; zero if that was not seen
	Acknowledged map[int32]time.Time // the first acknowledgement of each after that
}

// leaderKill kills the leader of a partition, and says how soon Kafka and the subscribers had recovered.
func leaderKill(ctx context.Context, w *world.World, s Step) (Outcome, error) {
	e, err := KillLeader(ctx, w, s)
	if err != nil {
		return Outcome{}, err
	}
	if e.Elected.IsZero() {
		return Outcome{Note: "no new leader was seen"}, nil
	}
	latest := time.Duration(0)
	for _, one := range w.Steady() {
		for _, p := range e.Partitions {
			if span := one.Times.LongestOf(p); span.To.After(e.Elected) {
				latest = max(latest, span.To.Sub(e.Elected))
			}
		}
	}
	return Outcome{Note: fmt.Sprintf("broker %d; Kafka's new leaders after %.2f s, all streaming %.2f s later",
		e.Victim, e.Elected.Sub(e.Killed).Seconds(), latest.Seconds())}, nil
}

// KillLeader kills the leader of a partition by SIGKILL, and starts it again.
func KillLeader(ctx context.Context, w *world.World, s Step) (Election, error) {
	before, err := w.Cluster.Leaders(ctx, world.Topic)
	if err != nil || len(before) == 0 {
		return Election{}, err
	}
	e := Election{Victim: before[s.Which%len(before)], Acknowledged: map[int32]time.Time{}}
	if e.Victim < 1 {
		return e, hold(ctx, s.Hold)
	}
	for p, leader := range before {
		if leader == e.Victim {
			e.Partitions = append(e.Partitions, int32(p))
		}
	}
	return e, w.Cluster.Fail(ctx, e.Victim, false, func() {
		e.Killed = time.Now()
		if e.Elected = awaitElection(ctx, w, before, e.Victim); !e.Elected.IsZero() {
			e.awaitAcknowledged(ctx, w)
		}
		_ = hold(ctx, s.Hold)
	})
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

// awaitAcknowledged notes when each partition takes records again.
func (e *Election) awaitAcknowledged(ctx context.Context, w *world.World) {
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(2 * time.Millisecond) {
		for _, p := range e.Partitions {
			if _, ok := e.Acknowledged[p]; ok {
				continue
			}
			if last := w.Traffic.LastAcknowledged(p); last.After(e.Elected) {
				e.Acknowledged[p] = last
			}
		}
		if len(e.Acknowledged) == len(e.Partitions) {
			return
		}
	}
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
