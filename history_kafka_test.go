//go:build kafka

package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"paystream/internal/clienttest"
	"paystream/internal/kafkatest"
)

// turmoil writes to a topic of three partitions all that a partition may hold.
type turmoil struct {
	k          *kafkatest.Kafka
	topic      string
	plain      *kafkatest.Producer
	compressed []*kafkatest.Producer
	one, two   *kafkatest.Producer // transactional
	ids        int
}

const turmoilPartitions = 3

func newTurmoil(t *testing.T, k *kafkatest.Kafka) *turmoil {
	t.Helper()
	topic := kafkatest.TopicName(t)
	k.CreateTopic(t, topic, turmoilPartitions, nil)
	w := &turmoil{
		k: k, topic: topic, plain: k.Producer(t),
		one: k.Transactional(t, topic+"-one"), two: k.Transactional(t, topic+"-two"),
	}
	for _, codec := range []kgo.CompressionCodec{
		kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression(),
	} {
		w.compressed = append(w.compressed, k.Producer(t, kgo.ProducerBatchCompression(codec)))
	}
	return w
}

// payments returns n new payments in a partition.
func (w *turmoil) payments(partition int32, n int) []*kgo.Record {
	var records []*kgo.Record
	for range n {
		w.ids++
		records = append(records, paid(partition, fmt.Sprint("pay-", w.ids)))
	}
	return records
}

// round writes some 70 payments, in batches of every compression and in transactions of two producers
// that overlap, of which one aborts, with bad records, tombstones and later states between them.
func (w *turmoil) round(t *testing.T) {
	t.Helper()
	for p := range int32(turmoilPartitions) {
		w.plain.Produce(t, w.topic, w.payments(p, 5)...)
		w.plain.Produce(t, w.topic,
			&kgo.Record{Partition: p, Key: []byte("bad"), Value: []byte(`bad`)},
			&kgo.Record{Partition: p, Value: []byte(`{"provider":"stripe"}`)},
			&kgo.Record{Partition: p, Key: fmt.Append(nil, "pay-", w.ids)}, // a tombstone
			&kgo.Record{Partition: p},
			paid(p, fmt.Sprint("pay-", w.ids-1), 2),
			paid((p+1)%turmoilPartitions, fmt.Sprint("pay-", w.ids-2), 2))
	}
	for i, producer := range w.compressed {
		producer.Produce(t, w.topic, w.payments(int32(i%turmoilPartitions), 5)...)
	}
	w.one.Begin(t)
	w.two.Begin(t)
	for p := range int32(turmoilPartitions) {
		w.one.Produce(t, w.topic, w.payments(p, 3)...)
		w.two.Produce(t, w.topic, w.payments(p, 3)...)
		w.one.Produce(t, w.topic, w.payments(p, 3)...)
	}
	w.two.Abort(t)
	w.plain.Produce(t, w.topic, w.payments(0, 1)...)
	w.one.Commit(t)
}

// change writes later states of some payments, in their partitions and in others, forgets some, and
// adds new ones.
func (w *turmoil) change(t *testing.T, chance *rand.Rand) {
	t.Helper()
	var records []*kgo.Record
	for range 5 {
		id := func() string { return fmt.Sprint("pay-", 1+chance.IntN(w.ids)) }
		anywhere := chance.Int32N(turmoilPartitions)
		records = append(records, w.payments(anywhere, 1)...)
		records = append(records, paid(anywhere, id(), w.ids), &kgo.Record{Partition: anywhere, Key: []byte(id())})
	}
	w.plain.Produce(t, w.topic, records...)
}

// history is the offsets, by partition, of all payments that a read_committed consumer is shown.
type history [][]int64

func (w *turmoil) history(t *testing.T) history {
	t.Helper()
	h := make(history, turmoilPartitions)
	for _, r := range w.k.Read(t, w.topic, true) {
		if strings.HasPrefix(string(r.Value), `{"id":"pay`) {
			h[r.Partition] = append(h[r.Partition], r.Offset)
		}
	}
	return h
}

// states returns what is the latest of each payment by the contract: of a partition the last record,
// of several partitions' last ones the latest by Kafka's time, then by partition.
func (w *turmoil) states(t *testing.T) map[string]string {
	t.Helper()
	lasts := map[string]map[int32]*kgo.Record{}
	for _, r := range w.k.Read(t, w.topic, true) {
		if strings.HasPrefix(string(r.Key), "pay") {
			if lasts[string(r.Key)] == nil {
				lasts[string(r.Key)] = map[int32]*kgo.Record{}
			}
			lasts[string(r.Key)][r.Partition] = r
		}
	}
	states := map[string]string{}
	for id, last := range lasts {
		latest := slices.MaxFunc(slices.Collect(maps.Values(last)), func(a, b *kgo.Record) int {
			return cmp.Or(a.Timestamp.Compare(b.Timestamp), cmp.Compare(a.Partition, b.Partition))
		})
		if latest.Value != nil {
			states[id] = numberOf(t, latest)
		}
	}
	return states
}

// numberOf returns what tells states of one payment apart.
func numberOf(t *testing.T, r *kgo.Record) string {
	t.Helper()
	var value struct {
		Metadata struct{ Number string }
	}
	if err := json.Unmarshal(r.Value, &value); err != nil {
		t.Fatal(err)
	}
	return value.Metadata.Number
}

// awaitCurrent waits until a gateway has all that the topic has.
func (i *instance) awaitCurrent(t *testing.T, w *turmoil) {
	t.Helper()
	for p := range int32(turmoilPartitions) {
		end := w.k.LastStable(t, w.topic, p)
		name := fmt.Sprintf(`paystream_next_offset{topic=%q,partition="%d"}`, w.topic, p)
		soon(t, "the gateway has read all", func() error {
			if next := int64(i.metric(t, name)); next < end {
				return fmt.Errorf("partition %d: at %d of %d", p, next, end)
			}
			return nil
		})
	}
}

func (h history) len() int {
	n := 0
	for _, offsets := range h {
		n += len(offsets)
	}
	return n
}

// rest is what follows in a history.
type rest struct {
	history history
	done    []int // how many, by partition
}

func (h history) begin() *rest { return &rest{h, make([]int, len(h))} }

func (r *rest) len() int {
	n := r.history.len()
	for _, done := range r.done {
		n -= done
	}
	return n
}

// take checks that an event is the next one of its partition.
func (r *rest) take(partition int32, offset int64) error {
	offsets := r.history[partition][r.done[partition]:]
	if len(offsets) == 0 || offsets[0] != offset {
		return fmt.Errorf("partition %d, offset %d came, but next is %v", partition, offset, offsets[:min(len(offsets), 1)])
	}
	r.done[partition]++
	return nil
}

// readAll reads the rest from a stream.
func (r *rest) readAll(s clienttest.Stream) error {
	for r.len() > 0 {
		m, err := s.NextMessage()
		if err != nil {
			return fmt.Errorf("%d to come: %w", r.len(), err)
		}
		partition, offset, err := m.Place()
		if err != nil {
			return err
		}
		if err := r.take(partition, offset); err != nil {
			return err
		}
	}
	return nil
}
