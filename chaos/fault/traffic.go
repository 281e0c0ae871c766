package fault

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"

	"paystream/chaos/world"
)

func transactions(ctx context.Context, w *world.World, s Step) (Outcome, error) {
	before := w.Judge.Figures()
	w.Traffic.Transactions(true)
	err := hold(ctx, s.Hold)
	w.Traffic.Transactions(false)
	return Outcome{Note: fmt.Sprintf("%d records aborted", w.Judge.Figures().Aborted-before.Aborted)}, err
}

func badRecords(ctx context.Context, w *world.World, s Step) (Outcome, error) {
	before := w.Judge.Figures()
	w.Traffic.Bad(true)
	err := hold(ctx, s.Hold)
	w.Traffic.Bad(false)
	after := w.Judge.Figures()
	return Outcome{Note: fmt.Sprintf("%d bad records, %d tombstones", after.Bad-before.Bad, after.Tombstones-before.Tombstones)}, err
}

// refuseDeadLetters has the dead-letter topic take no record of any size, while bad ones come.
func refuseDeadLetters(ctx context.Context, w *world.World, s Step) (Outcome, error) {
	there, err := w.HasDeadLetters(ctx)
	if err != nil {
		return Outcome{}, err
	}
	if !there {
		return Outcome{NotRun: "the gateways of this version keep no dead letters"}, nil
	}
	set := func(size string) error {
		resp, err := w.Cluster.Admin().AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "max.message.bytes", Value: &size}}, world.DeadLetters)
		for _, r := range resp {
			err = errors.Join(err, r.Err)
		}
		return err
	}
	if err := set("1"); err != nil {
		return Outcome{}, fmt.Errorf("refuse dead letters: %w", err)
	}
	w.Traffic.Bad(true)
	err = hold(ctx, s.Hold)
	said := 0
	for _, g := range w.Gateways {
		if _, text := g.Readiness(ctx); text != "ok" {
			said++
		}
	}
	w.Traffic.Bad(false)
	err = errors.Join(err, set("2097152"))
	return Outcome{Note: fmt.Sprintf("%d of the gateways said so at /readyz", said)}, err
}
