package consumer_test

import (
	"fmt"
	"strings"
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
	"a backfill merges and goes on":              backfillMergesAndGoesOn,
	"a backfill tells gaps":                      backfillTellsGaps,
	"a backfill is shared":                       backfillIsShared,
	"backfills are bounded":                      backfillIsBounded,
	"a backfill waits for its readers":           backfillWaitsForReaders,
	"a backfill outlives failures":               backfillOutlivesFailures,
	"a backfill goes on without a partition":     backfillGoesOnWithoutOne,
	"a backfill does not ask in a circle":        backfillDoesNotCircle,
	"backfills take turns":                       backfillTakesTurns,
	"a partition that stands still is noticed":   standsStill,
	"since a time":                               since,
}

// committedOnly is what a kafka.Reader can not do, and so is asked of the
// committed reader alone. More of it needs a real broker: the time of
// LogAppendTime, and the position at a hole at the end of a partition.
var committedOnly = map[string]func(t *testing.T, reader option){
	"an empty value is a bad record, not a tombstone": emptyValue,
	"nothing of aborted transactions":                 abortedTransactions,
	"a partition is read on only when it is needed":   boundedMemory,
	"a broker that answers too soon is not asked on":  answersTooSoon,
	"a backfill loses nothing at a new leader":        backfillLosesNothingAtANewLeader,
	"a backfill finds the new leader":                 backfillFindsTheNewLeader,
	"one fetch per leader while idle":                 idleFetches,
	"a topic made anew that has outgrown the old one": topicOutgrown,
	"a partition that is cut back is not read":        cutBack,
}

func TestCommittedOnly(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
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
