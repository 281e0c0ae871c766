//go:build kafka

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"paystream/internal/kafkatest"
	"paystream/payment"
)

// groupAdmin asks about a topic's group as operators' tools do.
type groupAdmin struct {
	*kadm.Client
	topic string
}

func newGroupAdmin(t *testing.T, k *kafkatest.Kafka, topic string) *groupAdmin {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(k.Plaintext()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return &groupAdmin{kadm.NewClient(cl), topic}
}

// lag returns what kafka-consumer-groups shows: how far the commits are behind the ends, in all.
func (a *groupAdmin) lag(ctx context.Context) (int64, error) {
	lags, err := a.Lag(ctx, "group-of-"+a.topic)
	if err != nil {
		return 0, err
	}
	l := lags["group-of-"+a.topic]
	if err := l.Error(); err != nil {
		return 0, err
	}
	total, known := int64(0), 0
	for _, p := range l.Lag[a.topic] {
		if p.Err != nil || p.Lag < 0 {
			return 0, fmt.Errorf("partition %d: lag %d, %w", p.Partition, p.Lag, errors.Join(p.Err))
		}
		total += p.Lag
		known++
	}
	if known == 0 {
		return 0, errors.New("no partition of the topic is in the group")
	}
	return total, nil
}

func (a *groupAdmin) awaitLag(t *testing.T, want int64) {
	t.Helper()
	soon(t, fmt.Sprintf("a lag of %d", want), func() error {
		lag, err := a.lag(t.Context())
		if err == nil && lag != want {
			err = fmt.Errorf("it is %d", lag)
		}
		return err
	})
}

// origin is where a dead letter comes from, by its headers, of which the last ones are ours.
func origin(r *kgo.Record) string {
	found := map[string]string{}
	for _, h := range r.Headers {
		found[h.Key] = string(h.Value)
	}
	return found["paystream-partition"] + ":" + found["paystream-offset"]
}

// checkDeadLetters compares the dead letters with the bad ones among what a read_committed consumer is
// shown of the topic, byte for byte, and returns how many there are and how many repeats.
func checkDeadLetters(t *testing.T, k *kafkatest.Kafka, topic string, decoder payment.Decoder) (bad, repeats int) {
	t.Helper()
	want := map[string]*kgo.Record{}
	for _, r := range k.Read(t, topic, true) {
		if r.Value == nil {
			continue
		}
		if _, err := decoder.Decode(r.Value, 0); err != nil {
			want[fmt.Sprintf("%d:%d", r.Partition, r.Offset)] = r
		}
	}
	seen := map[string]bool{}
	for _, got := range k.Read(t, topic+".dlq", false) {
		at := origin(got)
		r := want[at]
		if r == nil {
			t.Errorf("a dead letter of %s, which is no bad record", at)
			continue
		}
		if seen[at] {
			repeats++
		}
		seen[at] = true
		if !same(r.Key, got.Key) || !same(r.Value, got.Value) || got.Partition != r.Partition {
			t.Errorf("%s: key or value is another", at)
		}
		if diff := cmp.Diff(r.Headers, got.Headers[:len(r.Headers)], cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: %s", at, diff)
		}
	}
	for at := range want {
		if !seen[at] {
			t.Errorf("the bad record at %s is no dead letter", at)
		}
	}
	return len(want), repeats
}

// same tells none from empty.
func same(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

// badRecords are of every kind, for one partition.
func badRecords(partition int32) []*kgo.Record {
	records := []*kgo.Record{
		{Key: []byte("k"), Value: []byte("\x00\xff not UTF-8")},
		{Value: []byte(`[]`)},
		{Key: []byte{}, Value: []byte(`{"amount":1,"currency":"usd"}`)},
		{Key: []byte("k"), Value: []byte{}},
		{Key: []byte("k"), Value: []byte(`{"id":"x","amount":1}`), Headers: []kgo.RecordHeader{
			{Key: "trace", Value: []byte{0, 1, 255}}, {Key: "none"}, {Key: "empty", Value: []byte{}}, {Key: "trace", Value: []byte("again")},
		}},
		{Key: []byte("k"), Value: []byte(`{"id":"x","amount":-1,"currency":"usd"}`), Timestamp: time.Now().Add(-100 * 24 * time.Hour)},
		{Key: []byte("large"), Value: bytes.Repeat([]byte("large "), 900_000/6)},
	}
	for _, r := range records {
		r.Partition = partition
	}
	return records
}

// TestBadRecordsAreKeptByteForByte has two gateways and all that a topic may hold: transactions,
// aborted ones too, compression, tombstones, bad records of every kind, some larger than allowed, one
// in a compressed batch that is larger than what the dead-letter topic takes.
func TestBadRecordsAreKeptByteForByte(t *testing.T) {
	k := kafkatest.Shared(t)
	leaveNothing(t)
	w := newTurmoil(t, k)
	env := append(kafkaEnv(k, w.topic), "KAFKA_MAX_RECORD_BYTES=500000")
	one := startInstance(t, env...)
	one.awaitReady(t)
	two := startInstance(t, env...)
	two.awaitReady(t)
	for range 3 {
		w.round(t)
		for p := range int32(turmoilPartitions) {
			for _, producer := range w.compressed {
				for _, r := range badRecords(p) {
					producer.Produce(t, w.topic, r)
				}
			}
			w.plain.Produce(t, w.topic, badRecords(p)...)
		}
	}
	huge := &kgo.Record{Key: []byte("huge"), Value: bytes.Repeat([]byte("0123456789"), 300_000)}
	packed := k.Producer(t, kgo.ProducerBatchCompression(kgo.ZstdCompression()), kgo.ProducerBatchMaxBytes(8<<20))
	packed.Produce(t, w.topic, huge)
	a := newGroupAdmin(t, k, w.topic)
	a.awaitLag(t, 0)
	bad, repeats := checkDeadLetters(t, k, w.topic, payment.Decoder{MaxBytes: 500_000})
	if bad < 300 || repeats != 0 {
		t.Errorf("%d bad records, %d repeats", bad, repeats)
	}
	t.Logf("%d bad records, each once", bad)
	for _, i := range []*instance{one, two} {
		if n := i.metric(t, "paystream_owned_partitions"); n == 0 || n == turmoilPartitions {
			t.Errorf("%v owned partitions: the work is not shared", n)
		}
		if strings.Contains(i.log.String(), string(bytes.Repeat([]byte("large "), 2))) || strings.Contains(i.log.String(), "0123456789") {
			t.Error("a payload is in the log")
		}
	}
}

// TestWhatAKilledOwnerLeftIsFound kills the owner again and again while bad records come.
func TestWhatAKilledOwnerLeftIsFound(t *testing.T) {
	k := kafkatest.Shared(t)
	topic := kafkatest.TopicName(t)
	k.CreateTopic(t, topic, 3, nil)
	producer := k.Producer(t)
	n := 0
	produce := func(rounds int) {
		for range rounds {
			var records []*kgo.Record
			for p := range int32(3) {
				n++
				records = append(records, paid(p, fmt.Sprint("pay-", n)), &kgo.Record{Partition: p, Key: []byte("bad"), Value: fmt.Append(nil, "bad ", n)})
			}
			producer.Produce(t, topic, records...)
		}
	}
	env := kafkaEnv(k, topic)
	owner := startProcess(t, env...)
	owner.awaitReady(t)
	produce(50)
	for range 3 {
		heir := startProcess(t, env...)
		heir.awaitReady(t)
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for {
				select {
				case <-stop:
					return
				default:
					produce(20)
				}
			}
		}()
		time.Sleep(1500 * time.Millisecond) // so that there are commits, and something behind them
		owner.kill(t)
		time.Sleep(300 * time.Millisecond)
		close(stop)
		<-stopped
		owner = heir
	}
	newGroupAdmin(t, k, topic).awaitLag(t, 0)
	bad, repeats := checkDeadLetters(t, k, topic, payment.Decoder{})
	if bad != n {
		t.Errorf("%d bad records, want %d", bad, n)
	}
	t.Logf("%d bad records, %d repeats after 3 owners' deaths", bad, repeats)
}

// TestARefusingDeadLetterTopic has one that Kafka can not write: commits stop before the bad record,
// the stream goes on, and all comes right by itself.
func TestARefusingDeadLetterTopic(t *testing.T) {
	k := kafkatest.Shared(t)
	leaveNothing(t)
	topic := kafkatest.TopicName(t)
	k.CreateTopic(t, topic, 2, nil)
	k.CreateTopic(t, topic+".dlq", 2, map[string]string{"max.message.bytes": "100"})
	i := startInstance(t, kafkaEnv(k, topic)...)
	i.awaitReady(t)
	a := newGroupAdmin(t, k, topic)
	k.Produce(t, topic, paid(0, "pay-1"), paid(1, "pay-2"))
	a.awaitLag(t, 0)
	k.Produce(t, topic, &kgo.Record{Partition: 0, Value: []byte("bad")}, paid(0, "pay-3"), paid(1, "pay-4"))
	i.awaitRetained(t, 4)
	a.awaitLag(t, 2)
	soon(t, "/readyz tells", func() error {
		if code, text := i.readyz(t); code != http.StatusOK || !strings.Contains(text, "dead letters of partition 0") || !strings.Contains(text, "raise its max.message.bytes") {
			return fmt.Errorf("%d %s", code, text)
		}
		return nil
	})
	if n := i.metric(t, "paystream_dead_letter_failures_total"); n == 0 {
		t.Error("no failures are counted")
	}
	if n := i.metric(t, fmt.Sprintf(`paystream_dead_letters_pending{topic=%q,partition="0"}`, topic)); n != 1 {
		t.Errorf("%v pending, want 1", n)
	}
	time.Sleep(2 * time.Second) // for more tries
	if n := i.log.count("dead letters of partition 0"); n != 1 {
		t.Errorf("%d lines in the log, want 1:\n%s", n, i.log)
	}
	enough := "100000"
	if _, err := a.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "max.message.bytes", Value: &enough}}, topic+".dlq"); err != nil {
		t.Fatal(err)
	}
	a.awaitLag(t, 0)
	if bad, repeats := checkDeadLetters(t, k, topic, payment.Decoder{}); bad != 1 || repeats != 0 {
		t.Errorf("%d bad records, %d repeats", bad, repeats)
	}
	soon(t, "/readyz is quiet", func() error {
		if code, text := i.readyz(t); code != http.StatusOK || text != "ok\n" {
			return fmt.Errorf("%d %s", code, text)
		}
		return nil
	})
}

// TestLagIsTrue compares what tools show with what is settled, while payments come and behind the end
// of the gateway.
func TestLagIsTrue(t *testing.T) {
	k := kafkatest.Shared(t)
	leaveNothing(t)
	w := newTurmoil(t, k)
	a := newGroupAdmin(t, k, w.topic)
	w.round(t)
	i := startInstance(t, kafkaEnv(k, w.topic)...)
	i.awaitReady(t)
	for range 3 {
		w.round(t)
		a.awaitLag(t, 0) // markers and aborted transactions included
	}
	i.stop()
	i.awaitEnd(t)
	if lag, err := a.lag(t.Context()); err != nil || lag != 0 {
		t.Fatalf("lag %d after the end, %v", lag, err)
	}
	described, err := a.DescribeGroups(t.Context(), "group-of-"+w.topic)
	if err != nil || len(described["group-of-"+w.topic].Members) != 0 {
		t.Errorf("members that have not left: %v, %v", described, err)
	}
	w.plain.Produce(t, w.topic, w.payments(1, 17)...)
	a.awaitLag(t, 17)
}

// rebalances is how many TestRebalancesPauseNoStream goes through, unless PAYSTREAM_TEST_REBALANCES says: each takes
// some two seconds.
const rebalances = 6

// TestReplayOnKafka sends repaired records back and has subscribers get each once.
func TestReplayOnKafka(t *testing.T) {
	k := kafkatest.Shared(t)
	leaveNothing(t)
	topic := kafkatest.TopicName(t)
	k.CreateTopic(t, topic, 2, nil)
	first := startInstance(t, append(kafkaEnv(k, topic), "KAFKA_MAX_RECORD_BYTES=150")...)
	first.awaitReady(t)
	var records []*kgo.Record
	const n = 40
	for i := range n { // longer than allowed
		records = append(records, paid(int32(i%2), "pay-"+strconv.Itoa(i)))
	}
	k.Produce(t, topic, records...)
	newGroupAdmin(t, k, topic).awaitLag(t, 0)
	first.stop()
	first.awaitEnd(t)

	second := startInstance(t, kafkaEnv(k, topic)...)
	second.awaitReady(t)
	s := second.open(t, second.streamCursor(t))
	for i, want := range []string{fmt.Sprint(n, " sent, in"), fmt.Sprintf("0 to send to topic %s, %d sent before", topic, n)} {
		got := runInProcess(t.Context(), kafkaEnv(k, topic), "dlq", "replay", "--yes")
		if got.code != 0 || !strings.Contains(got.stdout, want) {
			t.Errorf("run %d: %+v", i, got)
		}
	}
	k.Produce(t, topic, paid(0, lastID), paid(1, lastID))
	times := map[string]int{}
	for times[lastID] < 2 {
		event, err := s.Next()
		if err != nil {
			t.Fatal(err)
		}
		times[event.GetPayment().GetId()]++
	}
	if len(times) != n+1 {
		t.Errorf("%d payments, want %d", len(times), n+1)
	}
	for id, n := range times {
		if id != lastID && n != 1 {
			t.Errorf("%s came %d times", id, n)
		}
	}
}
