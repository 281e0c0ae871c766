//go:build kafka

package consumer_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"paystream/consumer"
	"paystream/internal/kafkatest"
)

// ofTopic makes a consumer read another topic than the one of the other tests.
func ofTopic(name string) option {
	return func(c *consumer.Config) { c.Topic = name }
}

// shown returns what franz-go's own consumer is shown of a topic.
func shown(t *testing.T, k *kafkatest.Kafka, topic string, committed bool) []entry {
	t.Helper()
	var list []entry
	for _, r := range k.Read(t, topic, committed) {
		list = append(list, entry{r.Partition, r.Offset, string(r.Key)})
	}
	return list
}

func sorted(entries []entry) []entry {
	list := slices.Clone(entries)
	slices.SortStableFunc(list, func(a, b entry) int { return int(a.partition - b.partition) })
	return list
}

// idle checks that a consumer is current and asks its one leader for nothing
// more than once in 500 ms.
func idle(t *testing.T, g *gateway) {
	t.Helper()
	const watched = 3 * time.Second
	before := g.Status().Fetches
	time.Sleep(watched)
	s := g.Status()
	if n := s.Fetches - before; n > int64(watched/(500*time.Millisecond))+1 {
		t.Errorf("%d fetches in %v", n, watched)
	}
	if s.Lag != 0 || !s.Ready || s.Trouble != "" {
		t.Errorf("not current: %+v", s)
	}
}

func TestKafkaTransactionsThatOverlap(t *testing.T) {
	k := kafkatest.Shared(t)
	for reader, opt := range readers {
		t.Run(reader, func(t *testing.T) {
			topic := kafkatest.TopicName(t)
			k.CreateTopic(t, topic, 2, nil)
			write := func(round int) {
				a, b := k.Transactional(t, fmt.Sprintf("%s-a%d", topic, round)), k.Transactional(t, fmt.Sprintf("%s-b%d", topic, round))
				plain := k.Producer(t)
				both := func(p *kafkatest.Producer, id string) {
					p.Produce(t, topic, append(pay(0, id+"0", id+"1"), pay(1, id+"2")...)...)
				}
				for i := range 4 {
					name := fmt.Sprintf("%d-%d-", round, i)
					a.Begin(t)
					both(a, name+"a")
					b.Begin(t)
					both(b, name+"b")
					both(plain, name+"plain")
					both(a, name+"aa")
					if i%2 == 0 {
						a.Commit(t)
					} else {
						a.Abort(t)
					}
					both(b, name+"bb")
					if i < 2 {
						b.Commit(t)
					} else {
						b.Abort(t)
					}
				}
			}
			write(0)
			g := start(t, []string{k.Plaintext()}, opt, ofTopic(topic))
			g.ready()
			write(1)
			want := shown(t, k, topic, reader == "committed")
			if diff := cmp.Diff(want, sorted(g.expect(len(want))), cmp.AllowUnexported(entry{})); diff != "" {
				t.Fatal(diff)
			}
			for p := range int32(2) {
				g.next(p, k.LogEnd(t, topic, p)) // past the last marker
			}
			if s := g.Status(); s.BadRecords != 0 {
				t.Errorf("%d bad records", s.BadRecords)
			}
		})
	}
}

func TestKafkaAbortedTailIsReadyCurrentAndIdle(t *testing.T) {
	k := kafkatest.Shared(t)
	topic := kafkatest.TopicName(t)
	k.CreateTopic(t, topic, 3, nil)
	k.Produce(t, topic, pay(0, "a", "b")...)
	p := k.Transactional(t, topic)
	p.Begin(t)
	p.Produce(t, topic, append(pay(0, many("x", 100)...), pay(1, "y")...)...)
	p.Abort(t)
	g := start(t, []string{k.Plaintext()}, ofTopic(topic))
	g.ready()
	g.next(0, 103)
	g.next(1, 2)
	idle(t, g)
	if diff := cmp.Diff([]string{"a", "b"}, ids(g.expect(2))); diff != "" {
		t.Error(diff)
	}
}

func TestKafkaOpenTransactionHoldsRecords(t *testing.T) {
	k := kafkatest.Shared(t)
	topic := kafkatest.TopicName(t)
	k.CreateTopic(t, topic, 1, nil)
	k.Produce(t, topic, pay(0, "a")...)
	p := k.Transactional(t, topic)
	p.Begin(t)
	p.Produce(t, topic, pay(0, "b")...)
	k.Produce(t, topic, pay(0, "c")...)
	g := start(t, []string{k.Plaintext()}, ofTopic(topic))
	g.ready()
	g.expect(1)
	g.until("what is held", func() bool { return g.Status().Partitions[0].Held == 2 })
	idle(t, g)
	p.Commit(t)
	if diff := cmp.Diff([]string{"a", "b", "c"}, ids(g.expect(3))); diff != "" {
		t.Error(diff)
	}
}

func TestKafkaCompactedTopicIsReadyAndIdle(t *testing.T) {
	k := kafkatest.Shared(t)
	for reader, opt := range readers {
		t.Run(reader, func(t *testing.T) {
			topic := kafkatest.TopicName(t)
			k.CreateTopic(t, topic, 1, kafkatest.CompactedTopic())
			p := k.Producer(t)
			for range 5 {
				p.Produce(t, topic, pay(0, many("p", 20)...)...)
			}
			p.Produce(t, topic, &kgo.Record{Key: []byte("p19")}) // the last is a tombstone
			k.Compact(t, topic)
			k.Compact(t, topic) // and now it is gone, too: a hole at the end
			want := shown(t, k, topic, true)
			if len(want) > 50 {
				t.Fatalf("not compacted: %v", want)
			}
			g := start(t, []string{k.Plaintext()}, opt, ofTopic(topic))
			g.ready()
			if diff := cmp.Diff(want, g.expect(len(want)), cmp.AllowUnexported(entry{})); diff != "" {
				t.Error(diff)
			}
			if reader == "committed" {
				g.next(0, k.LogEnd(t, topic, 0))
				idle(t, g)
			}
			p.Produce(t, topic, pay(0, "new")...)
			g.expect(len(want) + 1)
		})
	}
}

func TestKafkaCompression(t *testing.T) {
	k := kafkatest.Shared(t)
	for reader, opt := range readers {
		for name, codec := range map[string]kgo.CompressionCodec{
			"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
			"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
		} {
			t.Run(reader+"/"+name, func(t *testing.T) {
				topic := kafkatest.TopicName(t)
				k.CreateTopic(t, topic, 1, nil)
				p := k.Producer(t, kgo.ProducerBatchCompression(codec))
				for i := range 20 {
					p.Produce(t, topic, pay(0, many(fmt.Sprintf("p%d-", i), 100)...)...)
				}
				g := start(t, []string{k.Plaintext()}, opt, ofTopic(topic))
				g.ready()
				want := shown(t, k, topic, true)
				if diff := cmp.Diff(want, g.expect(2000), cmp.AllowUnexported(entry{})); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

// TestKafkaLogAppendTime: kafka.Reader knows only the producer's time, so this is
// not in the contract of both readers.
func TestKafkaLogAppendTime(t *testing.T) {
	k := kafkatest.Shared(t)
	topic := kafkatest.TopicName(t)
	k.CreateTopic(t, topic, 1, map[string]string{"message.timestamp.type": "LogAppendTime"})
	old := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	records := pay(0, "a", "b")
	for _, r := range records {
		r.Timestamp = old
	}
	k.Produce(t, topic, records...)
	g := start(t, []string{k.Plaintext()}, ofTopic(topic))
	g.ready()
	g.expect(2)
	want := map[string]int64{}
	for _, r := range k.Read(t, topic, true) {
		want[string(r.Key)] = r.Timestamp.UnixMilli()
	}
	for id, at := range want {
		e, ok := g.log.Get(id)
		if !ok || e.Time != at || time.Since(time.UnixMilli(e.Time)) > time.Minute {
			t.Errorf("%s has the time %d instead of %d", id, e.Time, at)
		}
		if got := g.value(id); got.GetProcessedAt() != at/1000 {
			t.Errorf("%s was processed at %d", id, got.GetProcessedAt())
		}
	}
}

// TestKafkaLargeBatches: only the first partition of an answer may get a batch
// that is larger than its share.
func TestKafkaLargeBatches(t *testing.T) {
	k := kafkatest.Shared(t)
	for reader, opt := range readers {
		t.Run(reader, func(t *testing.T) {
			topic := kafkatest.TopicName(t)
			k.CreateTopic(t, topic, 4, map[string]string{"max.message.bytes": "8000000"})
			p := k.Producer(t, kgo.ProducerBatchMaxBytes(8000000))
			pad := strings.Repeat("x", 1500)
			for range 3 {
				for part := range int32(4) {
					var records []*kgo.Record
					for i := range 1000 {
						value := strings.Replace(payment(fmt.Sprintf("p%d", i)), "{", `{"metadata":{"pad":"`+pad+`"},`, 1)
						records = append(records, record(part, fmt.Sprintf("p%d", i), value))
					}
					p.Produce(t, topic, records...)
				}
			}
			g := start(t, []string{k.Plaintext()}, opt, ofTopic(topic))
			g.ready()
			g.expect(12000)
		})
	}
}

func TestKafkaPartitionAddedWhileRunning(t *testing.T) {
	k := kafkatest.Shared(t)
	for reader, opt := range readers {
		t.Run(reader, func(t *testing.T) {
			topic := kafkatest.TopicName(t)
			k.CreateTopic(t, topic, 1, nil)
			g := start(t, []string{k.Plaintext()}, opt, ofTopic(topic))
			g.ready()
			k.AddPartitions(t, topic, 2)
			k.Produce(t, topic, append(pay(1, "a", "b"), pay(2, "c")...)...)
			got := g.expect(3)
			if diff := cmp.Diff([]string{"a", "b"}, ofPartition(t, got, 1)); diff != "" {
				t.Error(diff)
			}
			if got[0].offset != 0 {
				t.Errorf("first is %v", got[0])
			}
		})
	}
}

func TestKafkaDeletedRecordsAndTopics(t *testing.T) {
	k := kafkatest.Shared(t)
	for reader, opt := range readers {
		t.Run(reader, func(t *testing.T) {
			topic := kafkatest.TopicName(t)
			k.CreateTopic(t, topic, 1, nil)
			k.Produce(t, topic, pay(0, many("old", 10)...)...)
			k.DeleteRecords(t, topic, 0, 4)
			g := start(t, []string{k.Plaintext()}, opt, ofTopic(topic))
			g.ready()
			g.expect(6)
			k.DeleteTopic(t, topic)
			g.until("trouble", func() bool { return strings.Contains(g.Status().Trouble, "does not exist") })
			k.CreateTopic(t, topic, 1, nil)
			if reader == "committed" { // a kafka.Reader would read the new one before anybody has noticed
				k.Produce(t, topic, pay(0, many("new", 20)...)...)
			}
			g.ends(consumer.ErrReplaced)
			g.expect(6)
		})
	}
}
