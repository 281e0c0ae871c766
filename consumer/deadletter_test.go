package consumer_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paystream/consumer"
)

// forwarded marks what a test has sent on for a request of the consumer's.
const forwarded = 4321

// dead reads the dead letters, once there are so many, and checks that there are no more.
func dead(t *testing.T, brokers []string, n int) []*kgo.Record {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(deadTopic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.MetadataMinAge(50*time.Millisecond), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	var list []*kgo.Record
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for len(list) < n {
		fetches := cl.PollFetches(ctx)
		list = append(list, fetches.Records()...)
		if ctx.Err() != nil {
			t.Fatalf("%d dead letters instead of %d", len(list), n)
		}
	}
	ctx, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	list = append(list, cl.PollFetches(ctx).Records()...)
	if len(list) != n {
		t.Fatalf("%d dead letters instead of %d", len(list), n)
	}
	return list
}

// headers returns a record's headers by name; those of ours.
func headers(r *kgo.Record) map[string]string {
	m := map[string]string{}
	for _, h := range r.Headers {
		m[h.Key] = string(h.Value)
	}
	return m
}

// origins counts dead letters by where they come from.
func origins(records []*kgo.Record) map[string]int {
	m := map[string]int{}
	for _, r := range records {
		h := headers(r)
		m[h["paystream-partition"]+":"+h["paystream-offset"]]++
	}
	return m
}

func TestBadRecordsBecomeDeadLetters(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]*kgo.Record{
		"not JSON":              {Key: []byte("k"), Value: []byte("not json\x00\xff")},
		"no key":                {Value: []byte(`{"provider":"stripe"}`)},
		"an empty key":          {Key: []byte{}, Value: []byte(`[]`)},
		"an empty value":        {Key: []byte("k"), Value: []byte{}},
		"headers of its own":    {Key: []byte("k"), Value: []byte("x"), Headers: []kgo.RecordHeader{{Key: "a", Value: nil}, {Key: "a", Value: []byte{}}, {Key: "", Value: []byte{0, 255}}, {Key: "paystream-offset", Value: []byte("17")}}},
		"larger than allowed":   {Key: []byte("k"), Value: []byte(strings.Repeat("large ", 100_000))},
		"a time long ago":       {Key: []byte("k"), Value: []byte("x"), Timestamp: time.UnixMilli(1_000_000)},
		"a time just now":       {Key: []byte("k"), Value: []byte("x"), Timestamp: time.UnixMilli(time.Now().UnixMilli() - 1000)},
		"a field that is wrong": {Key: []byte("k"), Value: []byte(`{"id":"a","amount":-1,"currency":"usd"}`)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 3)
			p := newProducer(t, c.ListenAddrs())
			g := startMember(t, c, func(c *consumer.Config) { c.MaxRecordBytes = 100_000 })
			r.Partition = 1
			p.pay(1, "before")
			p.send(r)
			p.pay(1, "after")
			g.expect(2)
			got := dead(t, c.ListenAddrs(), 1)[0]
			if diff := cmp.Diff(r.Key, got.Key); diff != "" {
				t.Error("key", diff)
			}
			if diff := cmp.Diff(r.Value, got.Value); diff != "" {
				t.Errorf("value is another: %d bytes, not %d", len(got.Value), len(r.Value))
			}
			if diff := cmp.Diff(r.Headers, got.Headers[:len(r.Headers)], cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
			h := headers(&kgo.Record{Headers: got.Headers[len(r.Headers):]})
			want := map[string]string{
				"paystream-topic": topic, "paystream-partition": "1", "paystream-offset": "1",
				"paystream-timestamp": strconv.FormatInt(r.Timestamp.UnixMilli(), 10),
			}
			for key, value := range want {
				if h[key] != value {
					t.Errorf("%s: %q, want %q", key, h[key], value)
				}
			}
			if h["paystream-reason"] == "" || len(h["paystream-topic-id"]) != 32 {
				t.Errorf("headers: %v", h)
			}
			if got.Partition != 1 {
				t.Errorf("in partition %d, want that of the record", got.Partition)
			}
			recent := time.Since(r.Timestamp) < time.Hour
			if recent != got.Timestamp.Equal(r.Timestamp) {
				t.Errorf("time %v of a record of %v", got.Timestamp, r.Timestamp)
			}
			g.commits(p.cl, 0, 3, 0)
			if s := g.Status(); s.Group.DeadLetters != 1 || s.Group.Pending != 0 || s.Group.Trouble != "" {
				t.Errorf("status: %+v", s.Group)
			}
		})
	}
}

func TestGoodRecordsAndTombstonesAreNoDeadLetters(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	p := newProducer(t, c.ListenAddrs())
	g := startMember(t, c)
	p.pay(0, "a")
	p.send(&kgo.Record{Key: []byte("a")}, &kgo.Record{}, record(0, "b", "bad"))
	g.commits(p.cl, 4)
	dead(t, c.ListenAddrs(), 1)
}

// TestWhatTheOwnerLeftIsFound has bad records in the topic before there is an owner, and a commit
// that covers some of them.
func TestWhatTheOwnerLeftIsFound(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	p := newProducer(t, c.ListenAddrs())
	for i := range 10 {
		p.pay(0, many(strconv.Itoa(i), 5)...)
		p.send(record(0, "bad", strconv.Itoa(i)))
	}
	offsets := kadm.Offsets{}
	offsets.AddOffset(topic, 0, 36, -1) // before 36 lie 6 of the bad ones
	if err := kadm.NewClient(p.cl).CommitAllOffsets(t.Context(), groupID, offsets); err != nil {
		t.Fatal(err)
	}
	g := startMember(t, c)
	g.commits(p.cl, 60)
	got := origins(dead(t, c.ListenAddrs(), 4))
	if diff := cmp.Diff(map[string]int{"0:41": 1, "0:47": 1, "0:53": 1, "0:59": 1}, got); diff != "" {
		t.Error(diff)
	}
	g.stop()
	startMember(t, c).owns(1)
	dead(t, c.ListenAddrs(), 4)
}

// TestBehindTheWindow has an owner whose window begins behind what is committed: all is looked at.
func TestBehindTheWindow(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	p := newProducer(t, c.ListenAddrs())
	for i := range 20 {
		p.pay(0, many(strconv.Itoa(i), 4)...)
		p.send(record(0, "bad", strconv.Itoa(i)))
	}
	offsets := kadm.Offsets{}
	offsets.AddOffset(topic, 0, 10, -1)
	if err := kadm.NewClient(p.cl).CommitAllOffsets(t.Context(), groupID, offsets); err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteRecords(topic, 0, 20); err != nil {
		t.Fatal(err)
	}
	g := startMember(t, c, func(c *consumer.Config) { c.RetainRecords = 10 })
	g.commits(p.cl, 100)
	dead(t, c.ListenAddrs(), 16)
	if g.logs.count("level=ERROR", "deleted", "from=10", "to=20") != 1 {
		t.Error("what was deleted is not told")
	}
}

func TestNothingIsCommittedPastWhatCanNotBeWritten(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	p := newProducer(t, c.ListenAddrs())
	var refuse atomic.Bool
	refuse.Store(true)
	c.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		produce := req.(*kmsg.ProduceRequest)
		if !refuse.Load() || produce.Topics[0].Topic != deadTopic {
			return nil, nil, false
		}
		return refuseProduce(produce, kerr.NotEnoughReplicas), nil, true
	})
	g := startMember(t, c)
	p.pay(0, "a")
	p.send(record(0, "x", "bad"))
	p.pay(0, "b")
	p.pay(1, "c")
	g.expect(3)
	g.commits(p.cl, 1, 1)
	p.pay(0, "d")
	p.pay(1, "e")
	g.expect(5) // the stream does not wait
	g.commits(p.cl, 1, 2)
	g.until("trouble", func() bool {
		s := g.Status()
		return s.Ready && s.Trouble == "" && strings.Contains(s.Group.Trouble, "partition 0") && s.Group.Failures > 1 && s.Group.Pending == 1
	})
	if n := g.logs.count("lost", "dead letters of partition 0"); n != 1 {
		t.Errorf("logged %d times", n)
	}
	refuse.Store(false)
	g.commits(p.cl, 4, 2)
	dead(t, c.ListenAddrs(), 1)
	g.until("end of trouble", func() bool { return g.Status().Group.Trouble == "" })
}

// TestLostAcknowledgementsRepeatNothing breaks off connections when dead letters have been written.
func TestLostAcknowledgementsRepeatNothing(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	p := newProducer(t, c.ListenAddrs())
	var lose, lost atomic.Int32
	lose.Store(3)
	c.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		produce := req.(*kmsg.ProduceRequest)
		if produce.Topics[0].Topic != deadTopic || produce.TimeoutMillis == forwarded || lose.Add(-1) < 0 {
			return nil, nil, false
		}
		again := *produce
		again.TimeoutMillis = forwarded
		c.SleepControl(func() {
			if _, err := p.cl.Broker(0).Request(context.Background(), &again); err != nil {
				t.Error(err)
			}
		})
		lost.Add(1)
		return nil, errors.New("hang up"), true
	})
	g := startMember(t, c)
	p.send(record(0, "x", "bad"), record(0, "y", "bad"))
	g.commits(p.cl, 2)
	if lost.Load() != 3 {
		t.Fatalf("%d acknowledgements were lost, want 3", lost.Load())
	}
	dead(t, c.ListenAddrs(), 2)
}

func refuseProduce(req *kmsg.ProduceRequest, why *kerr.Error) *kmsg.ProduceResponse {
	res := req.ResponseKind().(*kmsg.ProduceResponse)
	for _, t := range req.Topics {
		topic := kmsg.NewProduceResponseTopic()
		topic.Topic = t.Topic
		for _, p := range t.Partitions {
			partition := kmsg.NewProduceResponseTopicPartition()
			partition.Partition, partition.ErrorCode = p.Partition, why.Code
			topic.Partitions = append(topic.Partitions, partition)
		}
		res.Topics = append(res.Topics, topic)
	}
	return res
}

func TestTheDeadLetterTopicIsMadeLikeItsSource(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 0)

	if err := c.CreateTopic(topic, 5, map[string]string{"max.message.bytes": "2000000"}); err != nil {
		t.Fatal(err)
	}
	g := startMember(t, c)
	g.until("topic", func() bool { return c.TopicInfo(deadTopic) != nil })
	if n := len(c.PartitionInfos(deadTopic)); n != 5 {
		t.Errorf("%d partitions", n)
	}
	adm := kadm.NewClient(newProducer(t, c.ListenAddrs()).cl)
	configs, err := adm.DescribeTopicConfigs(t.Context(), deadTopic)
	if err != nil {
		t.Fatal(err)
	}
	for _, config := range configs[0].Configs {
		if config.Key == "max.message.bytes" && config.MaybeValue() != "2065536" {
			t.Errorf("%s: %s", config.Key, config.MaybeValue())
		}
	}
}

func TestATopicThatMayNotBeMadeIsAskedFor(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	var refuse atomic.Bool
	refuse.Store(true)
	c.ControlKey(int16(kmsg.CreateTopics), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if !refuse.Load() {
			return nil, nil, false
		}
		res := req.ResponseKind().(*kmsg.CreateTopicsResponse)
		topic := kmsg.NewCreateTopicsResponseTopic()
		topic.Topic, topic.ErrorCode = deadTopic, kerr.TopicAuthorizationFailed.Code
		res.Topics = append(res.Topics, topic)
		return res, nil, true
	})
	g := startMember(t, c)
	g.until("trouble", func() bool { return g.Status().Group.Trouble != "" })
	for _, part := range []string{deadTopic, "--create", "--partitions 3", "--replication-factor 1", "max.message.bytes=1114124", "TOPIC_AUTHORIZATION_FAILED"} {
		if !strings.Contains(g.Status().Group.Trouble, part) {
			t.Errorf("%q does not say %q", g.Status().Group.Trouble, part)
		}
	}
	p := newProducer(t, c.ListenAddrs())
	p.send(record(0, "x", "bad"))
	p.pay(0, "a")
	g.expect(1)
	refuse.Store(false) // now it is made, by whoever
	g.commits(p.cl, 2, 0, 0)
	dead(t, c.ListenAddrs(), 1)
	g.until("end of trouble", func() bool { return g.Status().Group.Trouble == "" })
}

// TestUncommittedKeepsWhatItStreamsAround reads what a kafka.Reader is given, where an empty value is none.
func TestUncommittedKeepsWhatItStreamsAround(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	p := newProducer(t, c.ListenAddrs())
	g := startMember(t, c, uncommitted)
	p.send(record(0, "k", ""), record(0, "k", "bad"))
	p.pay(0, "a")
	g.expect(1)
	g.commits(p.cl, 3)
	if got := origins(dead(t, c.ListenAddrs(), 1)); got["0:1"] != 1 {
		t.Errorf("dead letters: %v", got)
	}
}
