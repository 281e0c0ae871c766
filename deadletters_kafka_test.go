//go:build kafka

package main

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"paystream/internal/kafkatest"
)

// badKinds are values of bad records, of every kind that the contract has.
func badKinds() [][]byte {
	long := strings.Repeat("x", 50_000)
	return [][]byte{
		[]byte(`not JSON`), []byte(``), []byte(`[]`), []byte(`{"id":"x"`), []byte("{\"id\":\"\xff\"}"),
		[]byte(`{"amount":1,"currency":"usd"}`), []byte(`{"id":"","amount":1,"currency":"usd"}`),
		[]byte(`{"id":"x","currency":"usd"}`), []byte(`{"id":"x","amount":-1,"currency":"usd"}`),
		[]byte(`{"id":"x","amount":"1e999","currency":"usd"}`), []byte(`{"id":"x","amount":1,"currency":"dollars"}`),
		[]byte(`{"id":"x","amount":1,"currency":"usd","metadata":{"long":"` + long + `"}}`),
	}
}

// badRecords returns one of each kind in a partition, with keys and headers of all sorts.
func badRecords(partition int32) []*kgo.Record {
	var list []*kgo.Record
	for i, value := range badKinds() {
		r := &kgo.Record{Partition: partition, Value: value, Headers: []kgo.RecordHeader{{Key: "trace", Value: []byte{0, byte(i), 255}}, {Key: "trace"}}}
		switch i % 3 {
		case 0:
			r.Key = []byte{}
		case 1:
			r.Key = fmt.Append(nil, "key-", i)
		}
		list = append(list, r)
	}
	return list
}

// origin is what a dead letter says of where it is from.
func originOf(r *kgo.Record) (partition int32, offset int64) {
	for _, h := range r.Headers {
		switch h.Key {
		case "paystream-partition":
			n, _ := strconv.Atoi(string(h.Value))
			partition = int32(n)
		case "paystream-offset":
			offset, _ = strconv.ParseInt(string(h.Value), 10, 64)
		}
	}
	return partition, offset
}

// kept checks that every record is in the dead-letter topic with the same bytes, and returns how many repeats there are.
func kept(t *testing.T, k *kafkatest.Kafka, topic string, want []*kgo.Record) (repeats int) {
	t.Helper()
	type place struct {
		partition int32
		offset    int64
	}
	got := map[place][]*kgo.Record{}
	for _, r := range k.Read(t, topic+".dlq", true) {
		p, o := originOf(r)
		got[place{p, o}] = append(got[place{p, o}], r)
	}
	for _, r := range want {
		letters := got[place{r.Partition, r.Offset}]
		delete(got, place{r.Partition, r.Offset})
		if len(letters) == 0 {
			t.Errorf("%d:%d is not kept", r.Partition, r.Offset)
			continue
		}
		repeats += len(letters) - 1
		for _, l := range letters {
			headers := slices.EqualFunc(r.Headers, l.Headers[:min(len(l.Headers), len(r.Headers))], func(a, b kgo.RecordHeader) bool {
				return a.Key == b.Key && bytes.Equal(a.Value, b.Value)
			})
			if !headers || !bytes.Equal(l.Key, r.Key) || (l.Key == nil) != (r.Key == nil) || !bytes.Equal(l.Value, r.Value) || l.Value == nil {
				t.Errorf("%d:%d is kept as %q: %.60q, want %q: %.60q", r.Partition, r.Offset, l.Key, l.Value, r.Key, r.Value)
			}
		}
	}
	for at := range got {
		t.Errorf("%v is in the dead-letter topic, and no bad record", at)
	}
	return repeats
}

// bad returns the bad records that a read_committed consumer is shown.
func (w *turmoil) bad(t *testing.T) []*kgo.Record {
	t.Helper()
	return slices.DeleteFunc(w.k.Read(t, w.topic, true), func(r *kgo.Record) bool {
		return r.Value == nil || strings.HasPrefix(string(r.Value), `{"id":"pay`)
	})
}

// settled waits until a group has committed all that the topic has.
func (w *turmoil) settled(t *testing.T, gateways ...*instance) {
	t.Helper()
	soon(t, "all is committed", func() error {
		for p := range int32(turmoilPartitions) {
			end := w.k.LastStable(t, w.topic, p)
			name := fmt.Sprintf(`paystream_committed_offset{topic=%q,partition="%d"}`, w.topic, p)
			owners := 0
			for _, g := range gateways {
				if at, ok := g.tryMetric(t, name); ok {
					owners++
					if int64(at) != end {
						return fmt.Errorf("partition %d: %v of %d", p, at, end)
					}
				}
			}
			if owners != 1 {
				return fmt.Errorf("partition %d has %d owners", p, owners)
			}
		}
		return nil
	})
}

// TestDeadLetters: two gateways keep each bad record once, whatever lies around it, in aborted transactions too; when
// one is killed, the other keeps what was left.
func TestDeadLetters(t *testing.T) {
	w := newTurmoil(t, kafkatest.Shared(t))
	env := append(kafkaEnv(w.k, w.topic), "KAFKA_GROUP_ID="+w.topic, "KAFKA_MAX_RECORD_BYTES=20KiB")
	round := func() {
		w.round(t)
		for p := range int32(turmoilPartitions) {
			w.plain.Produce(t, w.topic, badRecords(p)...)
		}
		w.one.Begin(t)
		w.one.Produce(t, w.topic, badRecords(0)...)
		w.one.Abort(t)
	}
	round()
	one := startProcess(t, env...)
	one.awaitReady(t)
	two := startProcess(t, env...)
	two.awaitReady(t)
	for range 3 {
		round()
	}
	w.settled(t, one, two)
	if n := kept(t, w.k, w.topic, w.bad(t)); n > 0 {
		t.Errorf("%d are kept more than once", n)
	}

	stream := two.open(t, two.beginning(t))
	h := w.history(t).begin()
	if err := h.readAll(stream); err != nil {
		t.Fatal(err)
	}
	go func() {
		time.Sleep(300 * time.Millisecond)
		_ = one.process.Process.Kill() // fails only when it has ended
	}()
	for range 10 {
		round()
	}
	<-one.ended
	more := w.history(t).begin()
	copy(more.done, h.done)
	if err := more.readAll(stream); err != nil {
		t.Errorf("the stream of the other gateway: %v", err)
	}
	w.settled(t, two)
	t.Logf("%d are kept more than once, one owner having been killed", kept(t, w.k, w.topic, w.bad(t)))
	if n := two.log.count("not JSON"); n > 0 {
		t.Errorf("the log has a record's content %d times", n)
	}
}
