package consumer_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
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

// TestCutBackWhileRefilling: what was to be refilled is taken back before it is read.
func TestCutBackWhileRefilling(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, kfake.NumBrokers(2))
	p := newProducer(t, c.ListenAddrs())
	p.pay(0, many("p", 10)...)
	var held atomic.Bool
	held.Store(true)
	c.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if held.Load() {
			return fetchError(req.(*kmsg.FetchRequest), kerr.KafkaStorageError.Code), nil, true
		}
		return nil, nil, false
	})
	endEpochs(c, func(int32, int32) int64 { return 6 })
	g := start(t, c.ListenAddrs())
	g.until("trouble", func() bool { return g.Status().Trouble != "" })
	move(t, c, 0)
	held.Store(false)
	g.ends(&consumer.TruncatedError{Partition: 0, At: 6})
}

// TestACursorAheadEndsNothing: a reader says that it has read what Kafka has never had. That is its own affair, also
// when a leader changes.
func TestACursorAheadEndsNothing(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2, kfake.NumBrokers(2))
	p := newProducer(t, c.ListenAddrs())
	p.pay(0, many("p", 100)...)
	p.pay(1, many("q", 100)...)
	endEpochs(c, func(int32, int32) int64 { return 100 })
	g := start(t, c.ListenAddrs(), retain(10))
	g.ready()
	r := g.backfill(broadcast.Vector{0, 1 << 40})
	defer r.b.Leave()
	r.granted()
	for range 3 {
		move(t, c, 1)
		time.Sleep(700 * time.Millisecond) // the replay asks again every half second
	}
	p.pay(1, "on")
	g.next(1, 101)
}

// TestTheGroupGoesBackToo: what a group has committed of records that were taken back does not count, in any of the
// partitions that were cut back: the bad records there now are dead letters as others are.
func TestTheGroupGoesBackToo(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2, kfake.NumBrokers(2))
	p := newProducer(t, c.ListenAddrs())
	for part, kept := range []int32{4, 5} {
		part := int32(part)
		p.pay(part, many("kept", int(kept))...)
		p.send(record(part, "x", "bad"), record(part, "y", "bad"))
		p.pay(part, many("new", 6)...)
		move(t, c, part)
	}
	offsets := kadm.Offsets{}
	offsets.AddOffset(topic, 0, 10, 0)
	offsets.AddOffset(topic, 1, 11, 0)
	if err := kadm.NewClient(p.cl).CommitAllOffsets(t.Context(), groupID, offsets); err != nil {
		t.Fatal(err)
	}
	endEpochs(c, func(partition, _ int32) int64 { return int64(4 + partition) })
	g := startMember(t, c)
	g.commits(p.cl, 12, 13)
	dead(t, c.ListenAddrs(), 4)
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
