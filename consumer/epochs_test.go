package consumer_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paystream/broadcast"
	"paystream/consumer"
)

// endEpochs answers, where end says one, that the leader epochs asked for ended there. It counts the questions.
func endEpochs(c *kfake.Cluster, end func(partition, epoch int32) int64) *atomic.Int64 {
	asked := new(atomic.Int64)
	c.ControlKey(int16(kmsg.OffsetForLeaderEpoch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		asked.Add(1)
		ask := req.(*kmsg.OffsetForLeaderEpochRequest)
		res := ask.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
		for _, t := range ask.Topics {
			topic := kmsg.NewOffsetForLeaderEpochResponseTopic()
			topic.Topic = t.Topic
			for _, p := range t.Partitions {
				partition := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
				partition.Partition, partition.LeaderEpoch = p.Partition, p.LeaderEpoch
				if partition.EndOffset = end(p.Partition, p.LeaderEpoch); partition.EndOffset == 0 {
					return nil, nil, false
				}
				topic.Partitions = append(topic.Partitions, partition)
			}
			res.Topics = append(res.Topics, topic)
		}
		return res, nil, true
	})
	return asked
}

// move moves a partition to the other one of two brokers: a new leader, a new epoch.
func move(t *testing.T, c *kfake.Cluster, partition int32) {
	t.Helper()
	to := 1 - c.LeaderFor(topic, partition)
	if err := c.MoveTopicPartition(topic, partition, to); err != nil {
		t.Fatal(err)
	}
}

// cutBack: a new leader that does not have all that was read has grown past that before anybody looks.
func cutBack(t *testing.T, reader option) {
	c := newCluster(t, 2, kfake.NumBrokers(2))
	p := newProducer(t, c.ListenAddrs())
	p.pay(0, many("zero", 3)...)
	p.pay(1, many("one", 10)...)
	g := start(t, c.ListenAddrs(), reader)
	g.ready()
	g.expect(13)
	endEpochs(c, func(partition, _ int32) int64 {
		if partition == 1 {
			return 6
		}
		return 3
	})
	before := slices.Clone(g.Epochs())
	move(t, c, 1)
	p.pay(1, many("other", 5)...)
	g.ends(&consumer.TruncatedError{Partition: 1, At: 6})
	g.expect(13)
	if diff := cmp.Diff(before, g.Epochs()); diff != "" {
		t.Errorf("epochs moved on with what is no longer Kafka's (-want +got):\n%s", diff)
	}
	if g.logs.count("level=ERROR", "records lost", "partition=1", "from=6", "to=10") != 1 {
		t.Error("the loss was not logged")
	}
}

// TestCheck holds cursors of other leader epochs to Kafka's log.
func TestCheck(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2, kfake.NumBrokers(2))
	p := newProducer(t, c.ListenAddrs())
	p.pay(0, many("p", 10)...)
	move(t, c, 0)
	ends := map[int32]int64{}
	asked := endEpochs(c, func(_, epoch int32) int64 { return ends[epoch] })
	g := start(t, c.ListenAddrs())
	g.ready()
	first := g.Epochs()[0]
	ends[first-1], ends[first] = 4, 10
	for name, test := range map[string]struct {
		cursor broadcast.Vector
		epochs []int32
		want   []broadcast.Gap
	}{
		"of the present leader's":              {broadcast.Vector{10, 0}, g.Epochs(), nil},
		"of an earlier one's, within":          {broadcast.Vector{4, 0}, []int32{first - 1, -1}, nil},
		"of an earlier one's, taken back":      {broadcast.Vector{7, 0}, []int32{first - 1, -1}, []broadcast.Gap{{Partition: 0, From: 7, To: 4}}},
		"without epochs":                       {broadcast.Vector{7, 0}, nil, nil},
		"of a partition not heard of":          {broadcast.Vector{7, 0, 5}, []int32{-1, -1, 9}, nil},
		"of epochs for more than it stands in": {broadcast.Vector{}, []int32{first - 1}, nil},
	} {
		got, err := g.Check(t.Context(), test.cursor, test.epochs)
		if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("Kafka was asked %d times for one epoch", n)
	}

	ahead := []int32{first + 1, -1}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := g.Check(ctx, broadcast.Vector{10, 0}, ahead); err == nil {
		t.Error("a cursor of a leader that nobody has heard of is taken")
	}
	move(t, c, 0)
	if gaps, err := g.Check(t.Context(), broadcast.Vector{10, 0}, ahead); err != nil || gaps != nil {
		t.Errorf("a cursor of the new leader's, which is waited for: %v, %v", gaps, err)
	}
	n := asked.Load()
	if gaps, err := g.Check(t.Context(), broadcast.Vector{10, 0}, []int32{first, -1}); err != nil || gaps != nil {
		t.Errorf("a cursor of the one before it: %v, %v", gaps, err)
	}
	if asked.Load() != n {
		t.Error("Kafka was asked again where the epoch before has ended")
	}
}
