// Package recovery measures how soon subscribers stream again, one fault at a time.
package recovery

import (
	"context"
	"fmt"
	"time"

	"paystream/chaos/fault"
	"paystream/chaos/report"
	"paystream/chaos/world"
)

const (
	killRounds   = 20
	leaderRounds = 5
	settle       = 1500 * time.Millisecond // until all stream again
)

// Length is how long Measure takes, about.
const Length = 210 * time.Second

// Measure does all of it.
func Measure(ctx context.Context, w *world.World, tell func(string)) ([]report.Recovery, error) {
	kills, err := gatewayKilled(ctx, w, tell)
	if err != nil {
		return nil, fmt.Errorf("gateway killed: %w", err)
	}
	leaders, err := leaderKilled(ctx, w, tell)
	if err != nil {
		return nil, fmt.Errorf("leader killed: %w", err)
	}
	drains, err := drained(ctx, w, tell)
	if err != nil {
		return nil, fmt.Errorf("gateway drained: %w", err)
	}
	return append(append(kills, leaders...), drains...), nil
}

// gatewayKilled measures for how long the subscribers of a killed gateway have nothing.
func gatewayKilled(ctx context.Context, w *world.World, tell func(string)) ([]report.Recovery, error) {
	var silences []time.Duration
	for round := range killRounds {
		tell(fmt.Sprintf("recovery: gateway killed, %d of %d", round+1, killRounds))
		victim := round % len(w.Gateways)
		reset(w)
		var at []int
		for i, s := range w.Steady() {
			if where, _ := s.Stream(); where == victim {
				at = append(at, i)
			}
		}
		_, err := fault.Run(ctx, w, fault.Step{Fault: "gateway-kill", Hold: settle, Which: victim})
		if err != nil {
			return nil, err
		}
		for _, i := range at {
			silences = append(silences, w.Steady()[i].Times.Longest().Length())
		}
		w.CaughtUp(ctx, time.Minute)
	}
	s := report.SpreadOf(silences)
	return []report.Recovery{{
		What: "gateway killed -> its subscribers stream again from another", Times: len(silences), Spread: s,
		Target: "p99 under 1 s", Met: len(silences) > 0 && s.P99 < time.Second,
	}}, nil
}

// leaderKilled measures for how long a partition is silent once it has a new leader.
func leaderKilled(ctx context.Context, w *world.World, tell func(string)) ([]report.Recovery, error) {
	var kafka, streaming, acknowledged []time.Duration
	for round := range leaderRounds {
		tell(fmt.Sprintf("recovery: leader killed, %d of %d", round+1, leaderRounds))
		reset(w)
		e, err := fault.KillLeader(ctx, w, fault.Step{Hold: 2 * settle, Which: round})
		if err != nil {
			return nil, err
		}
		if e.Elected.IsZero() {
			continue
		}
		kafka = append(kafka, e.Elected.Sub(e.Killed))
		for _, p := range e.Partitions {
			for _, s := range w.Steady() {
				if span := s.Times.LongestOf(p); span.To.After(e.Elected) {
					streaming = append(streaming, span.To.Sub(e.Elected))
					acknowledged = append(acknowledged, max(0, span.To.Sub(e.Acknowledged[p])))
				}
			}
		}
		w.CaughtUp(ctx, time.Minute)
	}
	s := report.SpreadOf(streaming)
	return []report.Recovery{
		{What: "leader killed -> Kafka has a new one", Times: len(kafka), Spread: report.SpreadOf(kafka), Met: true},
		{
			What: "new leader -> its partition streams again", Times: len(streaming), Spread: s,
			Target: "under 1 s", Met: len(streaming) > 0 && s.Max < time.Second,
		},
		{What: "first acknowledgement of the new leader -> its partition streams again", Times: len(acknowledged), Spread: report.SpreadOf(acknowledged), Met: true},
	}, nil
}

func reset(w *world.World) {
	for _, s := range w.Subscribers {
		s.Times.Reset()
	}
}
