package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"

	"paystream/broadcast"
	"paystream/consumer"
)

func missingTopic(t *testing.T, reader option) {
	c := newCluster(t, 0)
	g := start(t, c.ListenAddrs(), reader)
	g.until("reason", func() bool { return strings.Contains(g.Status().Reason, "does not exist") })
	s := g.Status()
	for _, part := range []string{topic, c.ListenAddrs()[0], "--create"} {
		if !strings.Contains(s.Reason, part) {
			t.Errorf("reason %q does not say %q", s.Reason, part)
		}
	}
	if s.Ready {
		t.Error("ready without a topic")
	}
	time.Sleep(500 * time.Millisecond)
	if n := g.logs.count("does not exist"); n != 1 {
		t.Errorf("it was logged %d times", n)
	}
	if c.TopicInfo(topic) != nil {
		t.Error("the topic was created by asking for it")
	}
	if err := c.CreateTopic(topic, 2, nil); err != nil {
		t.Fatal(err)
	}
	g.ready()
	newProducer(t, c.ListenAddrs()).pay(1, "a")
	g.expect(1)
	if g.logs.count("recovered", "metadata") != 1 {
		t.Error("the recovery was not logged")
	}
}

func leaderMoves(t *testing.T, reader option) {
	c := newCluster(t, 2, kfake.NumBrokers(2))
	p := newProducer(t, c.ListenAddrs())
	g := start(t, c.ListenAddrs(), reader)
	g.ready()
	for i := range 6 {
		for part := range int32(2) {
			if err := c.MoveTopicPartition(topic, part, int32(i%2)); err != nil {
				t.Fatal(err)
			}
			p.pay(part, fmt.Sprintf("%d-%d", part, i))
		}
	}
	got := g.expect(12)
	for part := range int32(2) {
		if diff := cmp.Diff(many(fmt.Sprintf("%d-", part), 6), ofPartition(t, got, part)); diff != "" {
			t.Error(diff)
		}
	}
}

func partitionErrors(t *testing.T, reader option) {
	for _, e := range []*kerr.Error{
		kerr.NotLeaderForPartition, kerr.FencedLeaderEpoch, kerr.UnknownLeaderEpoch, kerr.LeaderNotAvailable,
		kerr.KafkaStorageError, kerr.UnknownTopicOrPartition, kerr.UnknownServerError,
	} {
		t.Run(e.Message, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 1)
			p := newProducer(t, c.ListenAddrs())
			p.pay(0, "a")
			var left atomic.Int32
			left.Store(3)
			c.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
				c.KeepControl()
				if left.Add(-1) < 0 {
					return nil, nil, false
				}
				return fetchError(req.(*kmsg.FetchRequest), e.Code), nil, true
			})
			g := start(t, c.ListenAddrs(), reader)
			g.ready()
			g.expect(1)
			left.Store(3)
			p.pay(0, "b")
			g.expect(2)
			if n := g.logs.count("level=WARN", "lost"); n > 4 {
				t.Errorf("%d lines for two failures", n)
			}
		})
	}
}

func brokenConnections(t *testing.T, reader option) {
	c := newCluster(t, 2)
	p := newProducer(t, c.ListenAddrs())
	p.pay(0, "a")
	var broken atomic.Bool
	broken.Store(true)
	hangUp := func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if broken.Load() {
			return nil, errors.New("hang up"), true
		}
		return nil, nil, false
	}
	c.ControlKey(int16(kmsg.Fetch), hangUp)
	g := start(t, c.ListenAddrs(), reader)
	g.until("trouble", func() bool { return strings.Contains(g.Status().Reason, "closed the connection") })
	time.Sleep(300 * time.Millisecond)
	broken.Store(false)
	g.ready()
	g.expect(1)
	broken.Store(true)
	p.pay(1, "b")
	g.until("trouble", func() bool { return g.Status().Trouble != "" })
	if s := g.Status(); !s.Ready || s.Reason != "" {
		t.Errorf("no longer ready: %+v", s)
	}
	broken.Store(false)
	g.expect(2)
	g.until("end of trouble", func() bool { return g.Status().Trouble == "" })
	if n := g.logs.count("recovered"); n < 2 {
		t.Errorf("%d recoveries were logged", n)
	}
}

func deletedRecords(t *testing.T, reader option) {
	c := newCluster(t, 1)
	p := newProducer(t, c.ListenAddrs())
	p.pay(0, many("old", 10)...)
	var hold atomic.Bool
	hold.Store(true)
	held := make(chan struct{})
	c.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if hold.Load() {
			return fetchError(req.(*kmsg.FetchRequest), kerr.KafkaStorageError.Code), nil, true
		}
		return nil, nil, false
	})
	close(held)
	g := start(t, c.ListenAddrs(), reader)
	g.until("trouble", func() bool { return g.Status().Trouble != "" })
	if err := c.DeleteRecords(topic, 0, 6); err != nil {
		t.Fatal(err)
	}
	hold.Store(false)
	g.ready()
	if diff := cmp.Diff([]string{"old6", "old7", "old8", "old9"}, ids(g.expect(4))); diff != "" {
		t.Fatal(diff)
	}
	if g.logs.count("level=ERROR", "records lost", "partition=0", "from=0", "to=6") != 1 {
		t.Error("the loss was not logged")
	}
	if diff := cmp.Diff([]broadcast.Gap{{Partition: 0, From: 0, To: 6}}, g.gaps); diff != "" {
		t.Errorf("gaps told (-want +got):\n%s", diff)
	}
	if s := g.Status(); s.Skipped != 6 {
		t.Errorf("status: %+v", s)
	}
	p.pay(0, "new")
	g.expect(5)
}

func behindTheEnd(t *testing.T, reader option) {
	c := newCluster(t, 1)
	p := newProducer(t, c.ListenAddrs())
	p.pay(0, many("p", 3)...)
	g := start(t, c.ListenAddrs(), reader)
	g.ready()
	g.expect(3)
	// A leader that has less than was read.
	var short atomic.Bool
	short.Store(true)
	c.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if short.Load() {
			return fetchError(req.(*kmsg.FetchRequest), kerr.OffsetOutOfRange.Code), nil, true
		}
		return nil, nil, false
	})
	c.ControlKey(int16(kmsg.ListOffsets), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if !short.Load() {
			return nil, nil, false
		}
		ask := req.(*kmsg.ListOffsetsRequest)
		res := ask.ResponseKind().(*kmsg.ListOffsetsResponse)
		for _, t := range ask.Topics {
			rt := kmsg.NewListOffsetsResponseTopic()
			rt.Topic = t.Topic
			for _, p := range t.Partitions {
				rp := kmsg.NewListOffsetsResponseTopicPartition()
				rp.Partition, rp.Offset = p.Partition, 1
				if p.Timestamp == -2 {
					rp.Offset = 0
				}
				rt.Partitions = append(rt.Partitions, rp)
			}
			res.Topics = append(res.Topics, rt)
		}
		return res, nil, true
	})
	g.until("trouble", func() bool { return strings.Contains(g.Status().Trouble, "ends before") })
	time.Sleep(time.Second)
	if n := g.logs.count("level=ERROR"); n != 1 {
		t.Errorf("%d errors were logged", n)
	}
	short.Store(false)
	p.pay(0, "q")
	if diff := cmp.Diff([]string{"p0", "p1", "p2", "q"}, ids(g.expect(4))); diff != "" {
		t.Error(diff)
	}
}

func topicMadeAnew(t *testing.T, reader option) { madeAnew(t, reader, 0) }

// topicOutgrown: the new topic has grown past the old one's end before anybody looks.
func topicOutgrown(t *testing.T, reader option) { madeAnew(t, reader, 20) }

func madeAnew(t *testing.T, reader option, records int) {
	c := newCluster(t, 1)
	p := newProducer(t, c.ListenAddrs())
	p.pay(0, "a", "b")
	g := start(t, c.ListenAddrs(), reader)
	g.ready()
	if err := c.DeleteTopic(topic); err != nil {
		t.Fatal(err)
	}
	if err := c.CreateTopic(topic, 1, nil); err != nil {
		t.Fatal(err)
	}
	if records > 0 {
		newProducer(t, c.ListenAddrs()).pay(0, many("x", records)...)
	}
	g.ends(consumer.ErrReplaced)
	g.expect(2)
}

// TestANewLeaderIsFoundSoon: a partition that has none is asked for again and again.
func TestANewLeaderIsFoundSoon(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	p := newProducer(t, c.ListenAddrs())
	p.pay(0, "a")
	g := start(t, c.ListenAddrs())
	g.ready()
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{{Topic: new(topic)}}
	without, err := req.RequestWith(t.Context(), p.cl)
	if err != nil {
		t.Fatal(err)
	}
	without.Topics[0].Partitions[0].Leader = -1
	var asked atomic.Int64
	c.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if req.GetVersion() != 10 || asked.Add(1) > 6 {
			return nil, nil, false
		}
		res := *without
		res.Version = req.GetVersion()
		return &res, nil, true
	})
	g.until("no leader", func() bool { return strings.Contains(g.Status().Trouble, "no leader") })
	begun := time.Now()
	p.pay(0, "b")
	g.expect(2)
	if took := time.Since(begun); took > 4*time.Second { // at every 1.5 s it would be 9
		t.Errorf("a leader was found after %v", took)
	}
}

// standsStill: a broker that says of a partition that there is nothing more, though there is, is noticed.
func standsStill(t *testing.T, reader option) {
	c := newCluster(t, 1)
	p := newProducer(t, c.ListenAddrs())
	p.pay(0, "a")
	g := start(t, c.ListenAddrs(), reader, func(c *consumer.Config) { c.Standstill = 400 * time.Millisecond })
	g.ready()
	var stale atomic.Bool
	stale.Store(true)
	c.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if !stale.Load() {
			return nil, nil, false
		}
		res := fetchError(req.(*kmsg.FetchRequest), 0)
		for i := range res.Topics {
			for j := range res.Topics[i].Partitions {
				p := &res.Topics[i].Partitions[j]
				p.HighWatermark, p.LastStableOffset, p.RecordBatches = 1, 1, []byte{} // kafka.Reader takes nil amiss
			}
		}
		return res, nil, true
	})
	time.Sleep(time.Second)
	if n := g.Status().ReadersReplaced; n != 0 {
		t.Errorf("%d readers were replaced that had nothing to read", n)
	}
	p.pay(0, "b")
	g.until("another reader", func() bool { return g.Status().ReadersReplaced > 0 })
	if g.logs.count("stands still", "partition=0", "offset=1", "end=2") == 0 {
		t.Error("the log does not say so")
	}
	stale.Store(false)
	g.expect(2)
}

func partitionsOf(req kmsg.Request) []int32 {
	var list []int32
	for _, t := range req.(*kmsg.FetchRequest).Topics {
		for _, p := range t.Partitions {
			list = append(list, p.Partition)
		}
	}
	return list
}

// failOne answers a fetch with an error for one partition and nothing for the
// others.
func failOne(req *kmsg.FetchRequest, partition int32, code int16) *kmsg.FetchResponse {
	res := fetchError(req, 0)
	for i := range res.Topics {
		for j := range res.Topics[i].Partitions {
			if p := &res.Topics[i].Partitions[j]; p.Partition == partition {
				p.ErrorCode = code
			}
		}
	}
	return res
}

// fetchError answers a fetch with an error for each partition.
func fetchError(req *kmsg.FetchRequest, code int16) *kmsg.FetchResponse {
	res := req.ResponseKind().(*kmsg.FetchResponse)
	for _, t := range req.Topics {
		topic := kmsg.NewFetchResponseTopic()
		topic.Topic, topic.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			partition := kmsg.NewFetchResponseTopicPartition()
			partition.Partition, partition.ErrorCode = p.Partition, code
			partition.HighWatermark, partition.LastStableOffset = -1, -1
			topic.Partitions = append(topic.Partitions, partition)
		}
		res.Topics = append(res.Topics, topic)
	}
	return res
}

// TestCheckTopic has many ask whether the topic is still the same: Kafka is asked for all of them together.
func TestCheckTopic(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	var asked, away atomic.Int64
	c.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if req.GetVersion() != 10 {
			return nil, nil, false
		}
		asked.Add(1)
		if away.Load() == 0 {
			return nil, nil, false
		}
		res := req.ResponseKind().(*kmsg.MetadataResponse)
		res.Topics = []kmsg.MetadataResponseTopic{{ErrorCode: kerr.UnknownTopicOrPartition.Code}}
		return res, nil, true
	})
	g := start(t, c.ListenAddrs())
	g.ready()
	check := func(patience time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		return g.CheckTopic(ctx)
	}
	before := asked.Load()
	var all errgroup.Group
	for range 1000 {
		all.Go(func() error { return check(patience) })
	}
	if err := all.Wait(); err != nil {
		t.Error(err)
	}
	if n := asked.Load() - before; n > 10 {
		t.Errorf("Kafka was asked %d times for 1,000", n)
	}
	away.Store(1)
	if err := check(time.Second); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v while there is no answer", err)
	}
	away.Store(0)
	if err := check(patience); err != nil {
		t.Errorf("%v when there is one again", err)
	}
	if err := c.DeleteTopic(topic); err != nil {
		t.Fatal(err)
	}
	cl := newProducer(t, c.ListenAddrs()).cl
	if _, err := kadm.NewClient(cl).CreateTopic(t.Context(), 1, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
	if err := check(time.Second); err == nil {
		t.Error("a topic that was made anew passes for the one before it")
	}
	g.ends(consumer.ErrReplaced)
}
