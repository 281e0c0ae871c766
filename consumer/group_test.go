package consumer_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paystream/consumer"
)

const deadTopic = topic + ".dlq"

// inGroup takes part in a group of the test's own.
func inGroup(t testing.TB) option {
	return func(c *consumer.Config) { c.GroupID = "group-of-" + t.Name() }
}

// badRecords is one of each kind, with headers.
func badRecords(partition int32) []*kgo.Record {
	headers := []kgo.RecordHeader{{Key: "trace", Value: []byte{0, 1, 2}}, {Key: "none"}, {Key: "trace", Value: []byte("again")}}
	list := []*kgo.Record{
		{Key: []byte("k"), Value: []byte("not JSON")},
		{Key: nil, Value: []byte(`{"id":""}`)},
		{Key: []byte{}, Value: []byte(`{"id":"x","amount":-1,"currency":"usd"}`)},
		{Key: []byte("utf8"), Value: []byte("{\"id\":\"\xff\"}")},
		{Key: []byte("large"), Value: bytes.Repeat([]byte("x"), 3000)},
		{Key: []byte("array"), Value: []byte(`[]`)},
	}
	for _, r := range list {
		r.Partition, r.Headers = partition, headers
	}
	return list
}

// deadLetters reads all that the dead-letter topic has.
func deadLetters(t testing.TB, brokers []string) []*kgo.Record {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(deadTopic), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(t.Context(), deadTopic)
	if err != nil {
		return nil
	}
	want := int64(0)
	ends.Each(func(o kadm.ListedOffset) { want += o.Offset })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var all []*kgo.Record
	for int64(len(all)) < want {
		all = append(all, cl.PollFetches(ctx).Records()...)
		if ctx.Err() != nil {
			t.Fatalf("%d of %d dead letters", len(all), want)
		}
	}
	return all
}

// sameRecord checks that a dead letter is a record, byte for byte, with our headers behind its own.
func sameRecord(t testing.TB, want, got *kgo.Record) {
	t.Helper()
	if !bytes.Equal(want.Key, got.Key) || (want.Key == nil) != (got.Key == nil) || !bytes.Equal(want.Value, got.Value) {
		t.Errorf("key %q and value %.50q, want %q and %.50q", got.Key, got.Value, want.Key, want.Value)
	}
	own := got.Headers[:min(len(got.Headers), len(want.Headers))]
	for i, h := range own {
		if h.Key != want.Headers[i].Key || !bytes.Equal(h.Value, want.Headers[i].Value) {
			t.Errorf("header %v, want %v", h, want.Headers[i])
		}
	}
	for name, value := range map[string]string{
		"paystream-topic": topic, "paystream-partition": fmt.Sprint(want.Partition), "paystream-offset": fmt.Sprint(want.Offset),
		"paystream-timestamp": fmt.Sprint(want.Timestamp.UnixMilli()),
	} {
		if header(got, name) != value {
			t.Errorf("header %s is %q, want %q", name, header(got, name), value)
		}
	}
	if header(got, "paystream-reason") == "" {
		t.Error("no reason")
	}
}

func header(r *kgo.Record, name string) string {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

// committed returns what a group has committed of a partition, or -1.
func committed(t testing.TB, brokers []string, group string, partition int32) int64 {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	offsets, err := kadm.NewClient(cl).FetchOffsets(t.Context(), group)
	if err != nil {
		return -1
	}
	if o, ok := offsets.Lookup(topic, partition); ok {
		return o.At
	}
	return -1
}

func TestBadRecordsAreKept(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	p := newProducer(t, c.ListenAddrs())
	before, after := badRecords(0), badRecords(1)
	p.pay(0, "a")
	p.send(before...)
	group := inGroup(t)
	small := func(c *consumer.Config) { c.MaxRecordBytes = 2000 }
	g := start(t, c.ListenAddrs(), group, small)
	g.ready()
	g.until("ownership", func() bool { return g.Status().Partitions[0].Owned && g.Status().Partitions[1].Owned })
	p.pay(1, "b")
	p.send(after...)
	p.pay(1, "c")
	want := slices.Concat(before, after)
	g.until("dead letters", func() bool { return g.Status().DeadLetters == int64(len(want)) })
	g.until("commits", func() bool {
		return committed(t, c.ListenAddrs(), "group-of-"+t.Name(), 0) == 7 && committed(t, c.ListenAddrs(), "group-of-"+t.Name(), 1) == 8
	})
	byOrigin := map[string]*kgo.Record{}
	for _, r := range deadLetters(t, c.ListenAddrs()) {
		byOrigin[header(r, "paystream-partition")+":"+header(r, "paystream-offset")] = r
	}
	for _, r := range want {
		if got := byOrigin[fmt.Sprint(r.Partition, ":", r.Offset)]; got == nil {
			t.Errorf("no dead letter of %d:%d", r.Partition, r.Offset)
		} else {
			sameRecord(t, r, got)
			if got.Partition != r.Partition {
				t.Errorf("in partition %d, want %d", got.Partition, r.Partition)
			}
		}
	}
	g.stop()

	again := start(t, c.ListenAddrs(), group, small)
	again.ready()
	again.until("ownership", func() bool { return again.Status().Partitions[0].Owned })
	p.pay(0, "d")
	again.until("commits", func() bool { return committed(t, c.ListenAddrs(), "group-of-"+t.Name(), 0) == 8 })
	if n := len(deadLetters(t, c.ListenAddrs())); n != len(want) {
		t.Errorf("%d dead letters, want %d: the next owner begins where the last one ended", n, len(want))
	}
}

// TestDeadLettersRefused: commits stop, the stream does not, and it heals.
func TestDeadLettersRefused(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	p := newProducer(t, c.ListenAddrs())
	if err := c.CreateTopic(deadTopic, 1, nil); err != nil {
		t.Fatal(err)
	}
	refuse := true
	c.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		produce, _ := req.(*kmsg.ProduceRequest)
		if !refuse || produce.Topics[0].Topic != deadTopic { // kgo names topics by id
			return nil, nil, false
		}
		res, _ := req.ResponseKind().(*kmsg.ProduceResponse)
		for _, t := range produce.Topics {
			answer := kmsg.NewProduceResponseTopic()
			answer.Topic = t.Topic
			for _, p := range t.Partitions {
				one := kmsg.NewProduceResponseTopicPartition()
				one.Partition, one.ErrorCode = p.Partition, kerr.NotEnoughReplicas.Code
				answer.Partitions = append(answer.Partitions, one)
			}
			res.Topics = append(res.Topics, answer)
		}
		return res, nil, true
	})
	g := start(t, c.ListenAddrs(), inGroup(t))
	g.ready()
	g.until("ownership", func() bool { return g.Status().Partitions[0].Owned })
	p.pay(0, "a", "b")
	p.send(&kgo.Record{Value: []byte("bad")})
	p.pay(0, many("c", 10)...)
	g.expect(12)
	g.until("trouble", func() bool { return strings.Contains(g.Status().DeadLetterTrouble, deadTopic) })
	time.Sleep(1500 * time.Millisecond) // a commit's time
	if at := committed(t, c.ListenAddrs(), "group-of-"+t.Name(), 0); at > 2 {
		t.Errorf("committed %d, behind a record that is not settled", at)
	}
	c.ControlKey(int16(kmsg.Metadata), func(kmsg.Request) (kmsg.Response, error, bool) {
		refuse = false // in the cluster's own goroutine, as the other
		return nil, nil, false
	})
	g.until("recovery", func() bool { s := g.Status(); return s.DeadLetters == 1 && s.DeadLetterTrouble == "" })
	g.until("commits", func() bool { return committed(t, c.ListenAddrs(), "group-of-"+t.Name(), 0) == 13 })
	if n := g.logs.count("msg=lost", "dead letters"); n != 1 {
		t.Errorf("the log says so %d times", n)
	}
}

// TestOneOwnerEach: however many gateways there are, each bad record is kept once, and each partition has one owner.
func TestOneOwnerEach(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 4)
	p := newProducer(t, c.ListenAddrs())
	one := start(t, c.ListenAddrs(), inGroup(t))
	one.ready()
	owns := func(g *gateway) int {
		n := 0
		for _, s := range g.Status().Partitions {
			if s.Owned {
				n++
			}
		}
		return n
	}
	one.until("ownership", func() bool { return owns(one) == 4 })
	two := start(t, c.ListenAddrs(), inGroup(t))
	two.ready()
	two.until("a share", func() bool { return owns(one) == 2 && owns(two) == 2 })
	for i := range int32(100) {
		p.send(&kgo.Record{Partition: i % 4, Value: fmt.Append(nil, "bad ", i)})
	}
	two.until("all of them", func() bool { return one.Status().DeadLetters+two.Status().DeadLetters == 100 })
	one.stop()
	two.until("all partitions", func() bool { return owns(two) == 4 })
	p.pay(0, "z")
	two.until("commits", func() bool { return committed(t, c.ListenAddrs(), "group-of-"+t.Name(), 0) == 26 })
	if n := len(deadLetters(t, c.ListenAddrs())); n != 100 {
		t.Errorf("%d dead letters of 100 bad records", n)
	}
}
