package producer_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paystream/internal/kafkaconn"
	"paystream/producer"
)

const topic = "payments.raw"

// vectors are those of Kafka's own tests (UtilsTest.testMurmur2).
var vectors = map[string]int32{
	"21":                         -973932308,
	"foobar":                     -790332482,
	"a-little-bit-long-string":   -985981536,
	"a-little-bit-longer-string": -1486304829,
	"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
	"abc": 479470107,
}

func TestPartitionsAreThoseOfJavasClients(t *testing.T) {
	const partitions = 50
	w := newWriter(t, startKafka(t, partitions), topic)
	var records []producer.Record
	for key := range vectors {
		records = append(records, producer.Record{Key: key, Value: []byte("{}")})
	}
	for i, result := range w.Write(t.Context(), records...) {
		key := records[i].Key
		if result.Err != nil {
			t.Fatalf("write %q: %v", key, result.Err)
		}
		if want := int(vectors[key]&0x7fffffff) % partitions; result.Partition != want {
			t.Errorf("%q is in partition %d, want %d", key, result.Partition, want)
		}
	}
}

func TestWriteAcknowledgesEachRecordInOrder(t *testing.T) {
	cluster := startKafka(t, 3)
	w := newWriter(t, cluster, topic)
	if err := w.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	const n = 2500 // more than two batches a partition could hold
	records := make([]producer.Record, n)
	for i := range records {
		records[i] = producer.Record{Key: "pay_" + strconv.Itoa(i%7), Value: []byte(strconv.Itoa(i))}
	}
	results := w.Write(t.Context(), records...)
	if len(results) != n {
		t.Fatalf("%d results for %d records", len(results), n)
	}
	last := map[string]int64{}
	for i, result := range results {
		if result.Err != nil {
			t.Fatalf("record %d: %v", i, result.Err)
		}
		key := records[i].Key
		if before, ok := last[key]; ok && result.Offset <= before {
			t.Fatalf("record %d of %s has offset %d, the one before it %d", i, key, result.Offset, before)
		}
		last[key] = result.Offset
		if i%250 == 0 {
			if got := read(t, cluster, result); string(got.Key) != key || string(got.Value) != strconv.Itoa(i) {
				t.Errorf("at partition %d, offset %d stands %s: %s, want record %d", result.Partition, result.Offset, got.Key, got.Value, i)
			}
		}
	}
}

func TestOneRecordDoesNotWaitForOthers(t *testing.T) {
	w := newWriter(t, startKafka(t, 1), topic)
	w.Write(t.Context(), producer.Record{Key: "first", Value: []byte("{}")}) // connects
	fastest := time.Hour                                                     // of several: a busy machine is not what is looked for
	for range 10 {
		start := time.Now()
		if result := w.Write(t.Context(), producer.Record{Key: "second", Value: []byte("{}")})[0]; result.Err != nil {
			t.Fatal(result.Err)
		}
		fastest = min(fastest, time.Since(start))
	}
	if fastest > 500*time.Millisecond {
		t.Errorf("a record on its own took %v", fastest)
	}
}

func TestFailuresAreEachRecordsOwn(t *testing.T) {
	cluster := startKafka(t, 2)
	failOn(cluster, 1, kerr.MessageTooLarge)
	w := newWriter(t, cluster, topic)
	var records []producer.Record
	for i := range 20 {
		records = append(records, producer.Record{Key: "pay_" + strconv.Itoa(i), Value: []byte("{}")})
	}
	failed := 0
	for i, result := range w.Write(t.Context(), records...) {
		wantPartition := kafka.Murmur2Balancer{}.Balance(kafka.Message{Key: []byte(records[i].Key)}, 0, 1)
		switch {
		case wantPartition == 0 && result.Err != nil:
			t.Errorf("%s, of the partition that works: %v", records[i].Key, result.Err)
		case wantPartition == 1 && result.Err == nil:
			t.Errorf("%s, of the partition that refuses, is acknowledged at offset %d", records[i].Key, result.Offset)
		case result.Err != nil:
			failed++
		}
	}
	if failed == 0 {
		t.Error("no record was meant for the partition that refuses: choose other keys")
	}
}

func TestWriteTriesAgainWhatMayPass(t *testing.T) {
	cluster := startKafka(t, 1)
	first := true
	cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if !first {
			return nil, nil, false
		}
		first = false
		return refuse(req.(*kmsg.ProduceRequest), kerr.NotLeaderForPartition), nil, true
	})
	w := newWriter(t, cluster, topic)
	if result := w.Write(t.Context(), producer.Record{Key: "k", Value: []byte("{}")})[0]; result.Err != nil {
		t.Error(result.Err)
	}
}

func TestCheckSaysWhyNothingCanBeWritten(t *testing.T) {
	t.Parallel()
	nobody, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody.Close()
	cluster := startKafka(t, 1)
	for name, tt := range map[string]struct {
		broker, topic string
		want          error
	}{
		"no broker":     {nobody.Addr().String(), topic, kafkaconn.ErrUnreachable},
		"missing topic": {cluster.ListenAddrs()[0], "no.such.topic", kafkaconn.ErrNoTopic},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, err := producer.NewWriter(kafkaconn.Config{Brokers: []string{tt.broker}}, tt.topic)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			start := time.Now()
			if err := w.Check(t.Context()); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("took %v", took)
			}
			if result := w.Write(t.Context(), producer.Record{Key: "k", Value: []byte("{}")})[0]; !errors.Is(result.Err, tt.want) {
				t.Errorf("a record has the error %v, want %v", result.Err, tt.want)
			}
		})
	}
}

func TestWriteReturnsAndCloseFollowsWhenNothingAnswers(t *testing.T) {
	cluster := startKafka(t, 1)
	asked := make(chan struct{}, 10)
	cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		asked <- struct{}{}
		cluster.SleepControl(func() { <-t.Context().Done() })
		return nil, nil, false
	})
	w, err := producer.NewWriter(kafkaconn.Config{Brokers: cluster.ListenAddrs()}, topic)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	start := time.Now()
	if result := w.Write(ctx, producer.Record{Key: "k", Value: []byte("{}")})[0]; !errors.Is(result.Err, context.Canceled) {
		t.Errorf("got %v, want %v", result.Err, context.Canceled)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 4*time.Second {
		t.Errorf("took %v", took)
	}
}

func startKafka(t *testing.T, partitions int32) *kfake.Cluster {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, topic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster
}

func newWriter(t *testing.T, cluster *kfake.Cluster, topic string) *producer.Writer {
	t.Helper()
	w, err := producer.NewWriter(kafkaconn.Config{Brokers: cluster.ListenAddrs()}, topic)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// failOn makes the broker refuse what is produced to one partition.
func failOn(cluster *kfake.Cluster, partition int32, code *kerr.Error) {
	cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		produce := req.(*kmsg.ProduceRequest)
		if produce.Topics[0].Partitions[0].Partition != partition { // kafka-go asks for one at a time
			return nil, nil, false
		}
		return refuse(produce, code), nil, true
	})
}

func refuse(req *kmsg.ProduceRequest, code *kerr.Error) kmsg.Response {
	res := req.ResponseKind().(*kmsg.ProduceResponse)
	topic := kmsg.NewProduceResponseTopic()
	topic.Topic = req.Topics[0].Topic
	partition := kmsg.NewProduceResponseTopicPartition()
	partition.Partition = req.Topics[0].Partitions[0].Partition
	partition.ErrorCode = code.Code
	topic.Partitions = append(topic.Partitions, partition)
	res.Topics = append(res.Topics, topic)
	return res
}

// read returns the record that a result points at.
func read(t *testing.T, cluster *kfake.Cluster, at producer.Result) kafka.Message {
	t.Helper()
	r := kafka.NewReader(kafka.ReaderConfig{Brokers: cluster.ListenAddrs(), Topic: topic, Partition: at.Partition, MaxWait: 100 * time.Millisecond})
	defer r.Close()
	if err := r.SetOffset(at.Offset); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	m, err := r.ReadMessage(ctx)
	if err != nil {
		t.Fatal(fmt.Errorf("read partition %d, offset %d: %w", at.Partition, at.Offset, err))
	}
	return m
}
