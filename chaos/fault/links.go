package fault

import (
	"context"
	"errors"
	"time"

	"paystream/chaos/network"
	"paystream/chaos/world"
)

const latency = 200 * time.Millisecond

func brokerCut(ctx context.Context, w *world.World, s Step) (Outcome, error) {
	return cut(ctx, of(w, s).Brokers, s.Hold)
}

func brokerSlow(ctx context.Context, w *world.World, s Step) (Outcome, error) {
	return slow(ctx, of(w, s).Brokers, s.Hold)
}

func clientCut(ctx context.Context, w *world.World, s Step) (Outcome, error) {
	return cut(ctx, []*network.Link{of(w, s).Clients}, s.Hold)
}

func clientSlow(ctx context.Context, w *world.World, s Step) (Outcome, error) {
	return slow(ctx, []*network.Link{of(w, s).Clients}, s.Hold)
}

func cut(ctx context.Context, links []*network.Link, d time.Duration) (Outcome, error) {
	return during(ctx, links, d, (*network.Link).Cut, (*network.Link).Mend)
}

func slow(ctx context.Context, links []*network.Link, d time.Duration) (Outcome, error) {
	set := func(by time.Duration) func(*network.Link) error {
		return func(l *network.Link) error { return l.Slow(by) }
	}
	return during(ctx, links, d, set(latency), set(0))
}

// during changes all links, waits, and changes them back.
func during(ctx context.Context, links []*network.Link, d time.Duration, begin, end func(*network.Link) error) (Outcome, error) {
	var errs []error
	for _, l := range links {
		errs = append(errs, begin(l))
	}
	errs = append(errs, hold(ctx, d))
	for _, l := range links {
		errs = append(errs, end(l))
	}
	return Outcome{}, errors.Join(errs...)
}
