package fault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"paystream/chaos/gateway"
	"paystream/chaos/world"
)

const (
	readyPatience = 90 * time.Second // a link to its brokers may be cut meanwhile
	drainPatience = 15 * time.Second // DRAIN_TIMEOUT and what is left to do then
)

func of(w *world.World, s Step) *gateway.Gateway { return w.Gateways[s.Which%len(w.Gateways)] }

func gatewayKill(ctx context.Context, w *world.World, s Step) (Outcome, error) {
	g := of(w, s)
	if !g.Process().Running() {
		return Outcome{}, g.Process().Failure() // by itself
	}
	g.Process().Kill()
	return comeBack(ctx, g, s)
}

func gatewayTerm(ctx context.Context, w *world.World, s Step) (Outcome, error) {
	g, begin := of(w, s), time.Now()
	if !g.Process().Running() {
		return Outcome{}, g.Process().Failure()
	}
	ended := g.Process().Terminate(drainPatience)
	if ended == nil {
		ended = g.Process().ExitError()
	}
	took := time.Since(begin)
	out, err := comeBack(ctx, g, s)
	out.Note = fmt.Sprintf("drained in %.2f s; %s", took.Seconds(), out.Note)
	return out, errors.Join(ended, err)
}

// comeBack starts a gateway again that has ended.
func comeBack(ctx context.Context, g *gateway.Gateway, s Step) (Outcome, error) {
	held := hold(ctx, s.Hold)
	if err := g.Restart(); err != nil {
		return Outcome{}, errors.Join(held, err)
	}
	begin := time.Now()
	ctx, cancel := context.WithTimeout(ctx, readyPatience)
	defer cancel()
	err := g.AwaitReady(ctx)
	return Outcome{Note: fmt.Sprintf("ready again %.1f s after its start", time.Since(begin).Seconds())}, errors.Join(held, err)
}

func gatewayFreeze(ctx context.Context, w *world.World, s Step) (Outcome, error) {
	g := of(w, s)
	if err := g.Process().Freeze(); err != nil {
		return Outcome{}, err
	}
	held := hold(ctx, s.Hold)
	return Outcome{}, errors.Join(held, g.Process().Thaw())
}
