package consumer_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paystream/consumer"
)

// contract is what a consumer does whichever reader it reads with.
var contract = map[string]func(t *testing.T, reader option){
	"existing then new, in order":                existingThenNew,
	"several partitions, several leaders":        severalLeaders,
	"bad records are counted and passed":         badRecordsPassed,
	"bad records do not flood the log":           badRecordsFlood,
	"tombstones forget, keyless ones do nothing": tombstones,
	"an empty topic is ready":                    emptyTopic,
	"refill is merged by time":                   mergedByTime,
	"refill is bounded by records":               boundedByRecords,
	"refill is bounded by age":                   boundedByAge,
	"what comes during the refill comes after":   duringRefill,
	"a new partition is read from its first":     newPartition,
	"a missing topic is waited for":              missingTopic,
	"a leader that moves":                        leaderMoves,
	"errors of a partition are retried":          partitionErrors,
	"connections that break are made again":      brokenConnections,
	"deleted records are reported":               deletedRecords,
	"an offset behind the end is waited for":     behindTheEnd,
	"a topic made anew is not read":              topicMadeAnew,
	"stops while a fetch waits":                  stopsWhileWaiting,
	"a partition that fails is named":            failingPartition,
	"a new partition while another refills":      newWhileRefilling,
	"one time for all records":                   oneTime,
}

// committedOnly is what a kafka.Reader can not do, and so is asked of the
// committed reader alone. More of it needs a real broker: the time of
// LogAppendTime, and the position at a hole at the end of a partition.
var committedOnly = map[string]func(t *testing.T, reader option){
	"an empty value is a bad record, not a tombstone": emptyValue,
	"nothing of aborted transactions":                 abortedTransactions,
	"a partition is read on only when it is needed":   boundedMemory,
	"a broker that answers too soon is not asked on":  answersTooSoon,
	"one fetch per leader while idle":                 idleFetches,
}

func TestCommittedOnly(t *testing.T) {
	for name, test := range committedOnly {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, readers["committed"])
		})
	}
}

var readers = map[string]option{
	"committed":   func(*consumer.Config) {},
	"uncommitted": uncommitted,
}

func TestContract(t *testing.T) {
	for reader, opt := range readers {
		t.Run(reader, func(t *testing.T) {
			t.Parallel()
			for name, test := range contract {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					test(t, opt)
				})
			}
		})
	}
}

func existingThenNew(t *testing.T, reader option) {
	c := newCluster(t, 1)
	p := newProducer(t, c.ListenAddrs())
	p.pay(0, "a", "b", "c")
	g := start(t, c.ListenAddrs(), reader)
	g.ready()
	g.expect(3)
	p.pay(0, "d")
	p.pay(0, "a", "e")
	want := []entry{{0, 0, "a"}, {0, 1, "b"}, {0, 2, "c"}, {0, 3, "d"}, {0, 4, "a"}, {0, 5, "e"}}
	if diff := cmp.Diff(want, g.expect(6), cmp.AllowUnexported(entry{})); diff != "" {
		t.Fatal(diff)
	}
	s := g.Status()
	if s.Lag != 0 || s.Partitions[0].Next != 6 || s.Partitions[0].End != 6 || s.Reason != "" || s.Topic != topic {
		t.Fatalf("status: %+v", s)
	}
	if s.Fingerprint == [8]byte{} {
		t.Fatal("no fingerprint")
	}
	got := g.value("e")
	if got.GetAmount() != 50 || got.GetCurrency() != "USD" {
		t.Fatalf("payment is %v", got)
	}
	e, _ := g.log.Get("e")
	if e.Label != consumer.Label(got) || e.Time/1000 != got.GetProcessedAt() {
		t.Fatalf("entry is %+v", e)
	}
}

func severalLeaders(t *testing.T, reader option) {
	c := newCluster(t, 6, kfake.NumBrokers(3))
	p := newProducer(t, c.ListenAddrs())
	var records []*kgo.Record
	for i := range 3000 {
		records = append(records, pay(int32(i%6), fmt.Sprintf("p%d", i))...)
	}
	p.send(records[:1500]...)
	g := start(t, c.ListenAddrs(), reader)
	g.ready()
	p.send(records[1500:]...)
	got := g.expect(3000)
	for part := range int32(6) {
		var want []string
		for i := int(part); i < 3000; i += 6 {
			want = append(want, fmt.Sprintf("p%d", i))
		}
		if diff := cmp.Diff(want, ofPartition(t, got, part)); diff != "" {
			t.Fatal(diff)
		}
	}
}

func badRecordsPassed(t *testing.T, reader option) {
	c := newCluster(t, 1)
	p := newProducer(t, c.ListenAddrs())
	p.send(record(0, "k", `{"id":"x","amount":"secret-amount","currency":"usd"}`))
	g := start(t, c.ListenAddrs(), reader, func(c *consumer.Config) { c.MaxRecordBytes = 1000 })
	g.ready()
	g.next(0, 1) // the position has passed what was never appended
	p.send(
		record(0, "k", "not JSON secret-text"),
		record(0, "good", payment("good")),
		record(0, "k", `{"id":"`+strings.Repeat("secret-long", 100)+`"}`),
		record(0, "k", "[]"),
	)
	g.next(0, 5)
	if diff := cmp.Diff([]string{"good"}, ids(g.expect(1))); diff != "" {
		t.Fatal(diff)
	}
	if s := g.Status(); s.BadRecords != 4 || s.Partitions[0].BadRecords != 4 || s.Lag != 0 {
		t.Fatalf("status: %+v", s)
	}
	g.stop()
	for _, parts := range [][]string{
		{"bad record", "partition=0", "offset=0", "field=amount"},
		{"bad record", "partition=0", "offset=1", "reason="},
		{"bad record", "offset=3", "larger than 1000 bytes"},
		{"more bad records", "count=1", "first_offset=4"},
	} {
		if g.logs.count(parts...) != 1 {
			t.Errorf("no line, or more than one, with %q", parts)
		}
	}
	if strings.Contains(g.logs.String(), "secret") {
		t.Error("the log tells what is in records")
	}
}

func badRecordsFlood(t *testing.T, reader option) {
	c := newCluster(t, 1)
	p := newProducer(t, c.ListenAddrs())
	var records []*kgo.Record
	for range 2000 {
		records = append(records, record(0, "k", "{}"))
	}
	p.send(records...)
	g := start(t, c.ListenAddrs(), reader)
	g.ready()
	g.next(0, 2000)
	g.stop()
	if n := g.logs.count("bad record"); n != 2 {
		t.Errorf("%d lines instead of the first and a summary", n)
	}
	if g.logs.count("more bad records", "count=1999", "first_offset=1", "last_offset=1999") != 1 {
		t.Error("no summary")
	}
	if n := g.Status().BadRecords; n != 2000 {
		t.Errorf("%d bad records", n)
	}
}

func tombstones(t *testing.T, reader option) {
	c := newCluster(t, 1)
	p := newProducer(t, c.ListenAddrs())
	p.pay(0, "a", "b")
	p.send(&kgo.Record{Key: []byte("a")}, &kgo.Record{}, &kgo.Record{Key: []byte{}})
	g := start(t, c.ListenAddrs(), reader)
	g.ready()
	g.next(0, 5)
	if _, ok := g.log.Get("a"); ok {
		t.Error("the payment was not forgotten")
	}
	g.value("b")
	p.send(&kgo.Record{Key: []byte("b")})
	g.next(0, 6)
	if _, ok := g.log.Get("b"); ok {
		t.Error("the payment was not forgotten")
	}
	if s := g.Status(); s.BadRecords != 0 {
		t.Errorf("%d tombstones are bad records", s.BadRecords)
	}
	if diff := cmp.Diff([]string{"a", "b"}, ids(g.expect(2))); diff != "" {
		t.Error(diff)
	}
}

func emptyTopic(t *testing.T, reader option) {
	c := newCluster(t, 3)
	g := start(t, c.ListenAddrs(), reader)
	g.ready()
	if s := g.Status(); len(s.Partitions) != 3 || s.Lag != 0 {
		t.Fatalf("status: %+v", s)
	}
	newProducer(t, c.ListenAddrs()).pay(2, "a")
	if diff := cmp.Diff([]entry{{2, 0, "a"}}, g.expect(1), cmp.AllowUnexported(entry{})); diff != "" {
		t.Fatal(diff)
	}
}

func mergedByTime(t *testing.T, reader option) {
	c := newCluster(t, 3)
	p := newProducer(t, c.ListenAddrs())
	began := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	var records []*kgo.Record
	var want []string
	for i := range 900 {
		// A run of ten in one partition, ties among all three.
		part, at := int32(i/10%3), began.Add(time.Duration(i/40)*time.Second)
		r := pay(part, fmt.Sprintf("%02d-%d-%03d", i/40, part, i))[0]
		r.Timestamp = at
		records = append(records, r)
		want = append(want, string(r.Key))
	}
	p.send(records...)
	slices.Sort(want) // by time, then partition, then offset
	g := start(t, c.ListenAddrs(), reader)
	g.ready()
	if diff := cmp.Diff(want, ids(g.expect(900))); diff != "" {
		t.Fatal(diff)
	}
}

func boundedByRecords(t *testing.T, reader option) {
	c := newCluster(t, 2)
	p := newProducer(t, c.ListenAddrs())
	now := time.Now()
	var records []*kgo.Record
	for i := range 4000 { // partition 0 has 3 of 4, one batch each 100 records
		part := int32(0)
		if i%4 == 0 {
			part = 1
		}
		r := pay(part, fmt.Sprintf("p%04d", i))[0]
		r.Timestamp = now.Add(time.Duration(i-4000) * time.Second)
		records = append(records, r)
	}
	for chunk := range slices.Chunk(records, 100) {
		p.send(chunk...)
	}
	g := start(t, c.ListenAddrs(), reader, func(c *consumer.Config) { c.RetainRecords = 1000 })
	g.ready()
	g.collect()
	if n := len(g.got); n < 1000 || n > 1300 {
		t.Fatalf("%d payments instead of about 1000", n)
	}
	want := ids(g.got)
	if first, last := want[0], want[len(want)-1]; first < "p2700" || last != "p3999" || !slices.IsSorted(want) {
		t.Fatalf("not the newest, merged: %s to %s", first, last)
	}
	if v := g.log.Oldest(); v.At(0) == 0 || v.At(1) == 0 {
		t.Fatalf("the log begins at %v", v)
	}
}

func boundedByAge(t *testing.T, reader option) {
	c := newCluster(t, 2)
	p := newProducer(t, c.ListenAddrs())
	for i, age := range []time.Duration{48 * time.Hour, 30 * time.Hour, 2 * time.Hour, time.Minute} {
		for part := range int32(2) {
			r := pay(part, fmt.Sprintf("%d-%d", i, part))[0]
			r.Timestamp = time.Now().Add(-age)
			p.send(r)
		}
	}
	g := start(t, c.ListenAddrs(), reader, func(c *consumer.Config) { c.RetainAge = 24 * time.Hour })
	g.ready()
	if diff := cmp.Diff([]string{"2-0", "2-1", "3-0", "3-1"}, ids(g.expect(4))); diff != "" {
		t.Fatal(diff)
	}
}

// duringRefill produces between the question where the partition ends and its
// first fetch.
func duringRefill(t *testing.T, reader option) {
	c := newCluster(t, 2)
	p := newProducer(t, c.ListenAddrs())
	p.pay(0, "a", "b")
	p.pay(1, "c", "d")
	var once atomic.Bool
	gate := make(chan struct{})
	c.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		if once.CompareAndSwap(false, true) {
			c.SleepControl(func() { <-gate })
		}
		return nil, nil, false
	})
	g := start(t, c.ListenAddrs(), reader)
	g.until("fetch", once.Load)
	p.pay(0, "e")
	p.pay(1, "f")
	close(gate)
	g.ready()
	got := g.expect(6)
	if diff := cmp.Diff([]string{"a", "b", "e"}, ofPartition(t, got, 0)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"c", "d", "f"}, ofPartition(t, got, 1)); diff != "" {
		t.Error(diff)
	}
	p.pay(1, "g")
	g.expect(7)
}

func newPartition(t *testing.T, reader option) {
	c := newCluster(t, 1, kfake.NumBrokers(2))
	p := newProducer(t, c.ListenAddrs())
	g := start(t, c.ListenAddrs(), reader)
	g.ready()
	addPartitions(t, p.cl, 3)
	p = newProducer(t, c.ListenAddrs()) // that knows of them
	p.pay(2, "a", "b")
	p.pay(1, "c")
	got := g.expect(3)
	if diff := cmp.Diff([]string{"a", "b"}, ofPartition(t, got, 2)); diff != "" {
		t.Error(diff)
	}
	p.pay(2, "d")
	g.expect(4)
	if s := g.Status(); len(s.Partitions) != 3 || s.Lag != 0 {
		t.Errorf("status: %+v", s)
	}
}

func addPartitions(t *testing.T, cl *kgo.Client, count int32) {
	t.Helper()
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.TimeoutMillis = 5000
	rt := kmsg.NewCreatePartitionsRequestTopic()
	rt.Topic, rt.Count = topic, count
	req.Topics = append(req.Topics, rt)
	res, err := req.RequestWith(t.Context(), cl)
	if err == nil {
		err = kerr.ErrorForCode(res.Topics[0].ErrorCode)
	}
	if err != nil {
		t.Fatal(err)
	}
}

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
	hangUp := func(req kmsg.Request) (kmsg.Response, error, bool) {
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

func topicMadeAnew(t *testing.T, reader option) {
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
	g.until("error", func() bool { return g.logs.count("level=ERROR", "made anew", "restart") > 0 })
	newProducer(t, c.ListenAddrs()).pay(0, "x", "y", "z")
	time.Sleep(time.Second)
	g.expect(2)
	if s := g.Status(); !s.Ready || !strings.Contains(s.Trouble, "restart") {
		t.Errorf("status: %+v", s)
	}
}

func stopsWhileWaiting(t *testing.T, reader option) {
	c := newCluster(t, 1)
	g := start(t, c.ListenAddrs(), reader)
	g.ready()
	time.Sleep(100 * time.Millisecond) // into a fetch
	began := time.Now()
	g.stop()
	if d := time.Since(began); d > 2*time.Second {
		t.Errorf("it took %v", d)
	}
}

// failingPartition: the reason says which partition readiness waits for.
func failingPartition(t *testing.T, reader option) {
	c := newCluster(t, 2)
	p := newProducer(t, c.ListenAddrs())
	p.pay(0, "a", "b")
	p.pay(1, "c", "d")
	var broken atomic.Bool
	broken.Store(true)
	c.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if !broken.Load() || !slices.Contains(partitionsOf(req), 1) {
			return nil, nil, false
		}
		return failOne(req.(*kmsg.FetchRequest), 1, kerr.KafkaStorageError.Code), nil, true
	})
	g := start(t, c.ListenAddrs(), reader)
	g.until("reason", func() bool {
		r := g.Status().Reason
		return strings.Contains(r, "partition 1") && strings.Contains(r, "KAFKA_STORAGE_ERROR")
	})
	if s := g.Status(); s.Ready || s.Lag == 0 {
		t.Errorf("status: %+v", s)
	}
	broken.Store(false)
	g.ready()
	g.expect(4)
	if s := g.Status(); s.Lag != 0 {
		t.Errorf("status: %+v", s)
	}
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

func newWhileRefilling(t *testing.T, reader option) {
	c := newCluster(t, 1)
	p := newProducer(t, c.ListenAddrs())
	p.pay(0, "a")
	var held atomic.Bool
	held.Store(true)
	c.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if !held.Load() || !slices.Contains(partitionsOf(req), 0) {
			return nil, nil, false
		}
		return failOne(req.(*kmsg.FetchRequest), 0, kerr.KafkaStorageError.Code), nil, true
	})
	g := start(t, c.ListenAddrs(), reader)
	g.until("trouble", func() bool { return g.Status().Trouble != "" })
	addPartitions(t, p.cl, 2)
	newProducer(t, c.ListenAddrs()).pay(1, "b", "c")
	if diff := cmp.Diff([]entry{{1, 0, "b"}, {1, 1, "c"}}, g.expect(2), cmp.AllowUnexported(entry{})); diff != "" {
		t.Error(diff)
	}
	if g.Status().Ready {
		t.Error("ready too soon")
	}
	held.Store(false)
	g.ready()
	g.expect(3)
}

// oneTime: times that do not tell records apart do not make the window larger
// than twice what is to be retained.
func oneTime(t *testing.T, reader option) {
	c := newCluster(t, 8)
	p := newProducer(t, c.ListenAddrs())
	now := time.Now()
	for part := range int32(8) {
		records := pay(part, many(fmt.Sprintf("p%d-", part), 200)...)
		for _, r := range records {
			r.Timestamp = now
		}
		for chunk := range slices.Chunk(records, 20) {
			p.send(chunk...)
		}
	}
	g := start(t, c.ListenAddrs(), reader, func(c *consumer.Config) { c.RetainRecords = 200 })
	g.ready()
	g.collect()
	if n := len(g.got); n < 200 || n > 400 {
		t.Errorf("%d payments", n)
	}
}
