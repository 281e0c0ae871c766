package fault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"paystream/chaos/subscriber"
	"paystream/chaos/world"
)

// mostPartitions is how many partitions faults make at the most.
const mostPartitions = 12

func addPartition(ctx context.Context, w *world.World, s Step) (Outcome, error) {
	leaders, err := w.Cluster.Leaders(ctx, world.Topic)
	if err != nil {
		return Outcome{}, err
	}
	if len(leaders) >= mostPartitions {
		return Outcome{Note: "there are enough"}, hold(ctx, s.Hold)
	}
	err = w.Cluster.Insist(ctx, func(ctx context.Context) error { // while a broker is away, none is made
		resp, err := w.Cluster.Admin().UpdatePartitions(ctx, len(leaders)+1, world.Topic)
		if errors.Is(resp.Error(), kerr.InvalidPartitions) {
			return nil // there are so many: an answer was lost
		}
		return errors.Join(err, resp.Error())
	})
	if err != nil {
		return Outcome{}, fmt.Errorf("add a partition: %w", err)
	}
	return Outcome{Note: fmt.Sprintf("now %d", len(leaders)+1)}, hold(ctx, s.Hold)
}

// churnEvery is how often a stranger joins the gateways' group, and leaves it.
const churnEvery = 3 * time.Second

// groupChurn has a member join the gateways' group and leave it again, which each time is a rebalance.
func groupChurn(ctx context.Context, w *world.World, s Step) (Outcome, error) {
	members, err := w.Members(ctx)
	if err != nil {
		return Outcome{}, err
	}
	if members == 0 {
		return Outcome{NotRun: "the gateways of this version join no group"}, nil
	}
	rounds := 0
	for end := time.Now().Add(s.Hold); time.Now().Before(end) && ctx.Err() == nil; rounds++ {
		if err := visit(ctx, w); err != nil {
			return Outcome{}, err
		}
	}
	return Outcome{Note: fmt.Sprintf("%d times joined and left", rounds)}, nil
}

// visit is a member of the group for half of the time.
func visit(ctx context.Context, w *world.World) error {
	client, err := kgo.NewClient(append(w.Cluster.Client(),
		kgo.ConsumerGroup(world.Group), kgo.ConsumeTopics(world.Topic), kgo.DisableAutoCommit(),
		kgo.Balancers(kgo.RangeBalancer()))...)
	if err != nil {
		return fmt.Errorf("join the group: %w", err)
	}
	_ = hold(ctx, churnEvery/2)
	client.Close() // leaves the group
	return hold(ctx, churnEvery/2)
}

// retention has Kafka forget what a sleeping subscriber has not read, and the gateways as well, which
// have it in memory: they are restarted in turn.
func retention(ctx context.Context, w *world.World, s Step) (Outcome, error) {
	var sleepers []*subscriber.Subscriber
	for i, one := range w.Subscribers {
		if one.Habit == subscriber.Restless && i%2 == 0 {
			sleepers = append(sleepers, one)
			one.Sleep()
		}
	}
	defer func() {
		for _, one := range sleepers {
			one.Wake()
		}
	}()
	if err := hold(ctx, s.Hold); err != nil {
		return Outcome{}, err
	}
	deleted, err := forget(ctx, w)
	if err != nil {
		return Outcome{}, err
	}
	for i := range w.Gateways {
		if _, err := gatewayKill(ctx, w, Step{Which: i}); err != nil {
			return Outcome{}, err
		}
	}
	return Outcome{Note: fmt.Sprintf("%d slept; Kafka forgot all before %d records", len(sleepers), deleted)}, nil
}

// forgetBehind is how many records of each partition are left, so that none who is awake is overtaken.
const forgetBehind = 2000

func forget(ctx context.Context, w *world.World) (records int64, err error) {
	admin := w.Cluster.Admin()
	ends, err := admin.ListEndOffsets(ctx, world.Topic)
	if err != nil {
		return 0, fmt.Errorf("list offsets: %w", err)
	}
	var offsets kadm.Offsets
	ends.Each(func(o kadm.ListedOffset) {
		before := max(0, o.Offset-forgetBehind)
		w.Judge.Gone(o.Partition, before)
		offsets.AddOffset(o.Topic, o.Partition, before, -1)
		records += before
	})
	resp, err := admin.DeleteRecords(ctx, offsets)
	if err := errors.Join(err, resp.Error()); err != nil {
		return 0, fmt.Errorf("delete records: %w", err)
	}
	return records, nil
}

// anewPatience is how long everybody may take to have all of a topic, or of the one that was made anew.
const anewPatience = time.Minute

// recreate deletes the topic and makes it anew, with as many partitions or with others.
func recreate(ctx context.Context, w *world.World, s Step) (Outcome, error) {
	before := w.Judge.Figures()
	leaders, err := w.Cluster.Leaders(ctx, world.Topic)
	if err != nil {
		return Outcome{}, err
	}
	partitions := world.Partitions - 2 + s.Which%5
	if err := w.Anew(ctx, partitions, anewPatience); err != nil {
		return Outcome{}, err
	}
	err = hold(ctx, s.Hold)
	w.CaughtUp(ctx, anewPatience)
	return Outcome{Note: fmt.Sprintf("%d partitions, then %d; %d cursors of the old topic were refused, of %d subscribers",
		len(leaders), partitions, w.Judge.Figures().Anew-before.Anew, len(w.Subscribers))}, err
}
