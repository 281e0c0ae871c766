package consumer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kgo"

	"paystream/internal/kafkaconn"
	"paystream/payment"
)

// DeadLetters are the bad records of a topic, as its dead-letter topic has them, for those who look at them and send
// them back. It is for one goroutine. Create it with [OpenDeadLetters].
//
// What has been sent back is told by two marks. The record that was sent carries its origin in a header, and a mark in
// the dead-letter topic says that it was acknowledged. The first alone is certain, since it is written with the record;
// the second makes it quick to be found, and outlives the record. Whoever is killed between the two finds the first.
type DeadLetters struct {
	cfg     Config
	decoder payment.Decoder
	source  *letterbox
	dead    *letterbox
}

// OpenDeadLetters connects to Kafka. Its errors are in words for people. The caller closes it.
func OpenDeadLetters(ctx context.Context, cfg Config) (*DeadLetters, error) {
	if err := cfg.Kafka.Validate(); err != nil {
		return nil, err
	}
	d := &DeadLetters{cfg: cfg, decoder: payment.Decoder{Units: cfg.Units, MaxBytes: cfg.MaxRecordBytes}}
	for topic, box := range map[string]**letterbox{cfg.Topic: &d.source, cfg.Topic + deadSuffix: &d.dead} {
		var err error
		if *box, err = openLetterbox(cfg.Kafka, topic); err != nil {
			d.Close()
			return nil, err
		}
	}
	for _, box := range []*letterbox{d.source, d.dead} {
		err := box.find(ctx)
		if box == d.dead && errors.Is(cfg.Kafka.Explain(err), kafkaconn.ErrNoTopic) {
			err = ErrNoDeadLetters
		}
		if err != nil {
			d.Close()
			return nil, cfg.Kafka.Explain(err)
		}
	}
	return d, nil
}

// ErrNoDeadLetters says that there is no dead-letter topic: no bad record has been kept yet.
var ErrNoDeadLetters = errors.New("there is no dead-letter topic: no bad record has been kept yet")

// Close closes the connections.
func (d *DeadLetters) Close() {
	for _, box := range []*letterbox{d.source, d.dead} {
		if box != nil {
			box.close()
		}
	}
}

// Topic is the dead-letter topic's name.
func (d *DeadLetters) Topic() string { return d.dead.client.topic }

// Read returns all dead letters, in the order of their partitions and offsets in the dead-letter topic, each origin
// once, and which of them have been sent back. progress, which may be nil, is told now and then how many records have been read.
func (d *DeadLetters) Read(ctx context.Context, progress func(records int)) ([]*DeadLetter, map[Origin]bool, error) {
	var list []*DeadLetter
	byOrigin := map[Origin]*DeadLetter{}
	replayed := map[string]bool{}
	n := 0
	err := d.dead.each(ctx, nil, func(r *kgo.Record) {
		if n++; progress != nil && n%1000 == 0 {
			progress(n)
		}
		if tag, ok := replayMark(r); ok && r.Value == nil {
			replayed[tag] = true
			return
		}
		l, ok := readLetter(r)
		if !ok {
			return
		}
		if first := byOrigin[l.Origin]; first != nil {
			first.Repeats++
			return
		}
		byOrigin[l.Origin] = &l
		list = append(list, &l)
	})
	if err != nil {
		return nil, nil, d.cfg.Kafka.Explain(err)
	}
	back := map[Origin]bool{}
	for _, l := range list {
		if replayed[l.tag()] {
			back[l.Origin] = true
		}
	}
	return list, back, nil
}

// Check returns why a value would be a bad record with the settings of now, or nil.
func (d *DeadLetters) Check(value []byte) error {
	if value == nil {
		return &payment.Rejection{Reason: "no value: that would forget a payment"}
	}
	_, _, err := d.decoder.Append(nil, value, time.Now().UnixMilli())
	return err
}

// Replayed returns which of the letters have been sent back, by looking for them in the topic behind where they were.
func (d *DeadLetters) Replayed(ctx context.Context, letters []*DeadLetter, progress func(records int)) (map[Origin]bool, error) {
	from := map[int32]int64{}
	wanted := map[string]Origin{}
	for _, l := range letters {
		at := l.Offset + 1
		if l.TopicID != d.source.client.topicIDText() {
			at = 0 // the topic was made anew: anywhere
		}
		p := d.source.partition(l.Partition)
		if old, ok := from[p]; !ok || at < old {
			from[p] = at
		}
		wanted[l.tag()] = l.Origin
	}
	found := map[Origin]bool{}
	n := 0
	err := d.source.each(ctx, from, func(r *kgo.Record) {
		if n++; progress != nil && n%10_000 == 0 {
			progress(n)
		}
		if tag, ok := replayMark(r); ok {
			if origin, ok := wanted[tag]; ok {
				found[origin] = true
			}
		}
	})
	return found, d.cfg.Kafka.Explain(err)
}

// Replay sends letters of one partition back to the topic, in order, and returns when Kafka has acknowledged them.
// After an error some may have been sent, which Replayed tells.
func (d *DeadLetters) Replay(ctx context.Context, letters []*DeadLetter) error {
	var records, marks []kafka.Record
	var sizes, small []int
	for _, l := range letters {
		r := kafka.Record{Key: kafka.NewBytes(l.Key), Value: kafka.NewBytes(l.Value), Time: time.Now()}
		size := len(l.Key) + len(l.Value) + overhead
		for _, h := range l.Headers {
			r.Headers = append(r.Headers, kafka.Header{Key: h.Key, Value: h.Value})
			size += len(h.Key) + len(h.Value)
		}
		mark := kafka.Header{Key: headerReplayed, Value: []byte(l.tag())}
		r.Headers = append(r.Headers, mark)
		records, sizes = append(records, r), append(sizes, size)
		marks, small = append(marks, kafka.Record{Time: r.Time, Headers: []kafka.Header{mark}}), append(small, overhead)
	}
	partition := letters[0].Partition
	if err := d.source.write(ctx, partition, records, sizes); err != nil {
		return d.cfg.Kafka.Explain(err)
	}
	return d.cfg.Kafka.Explain(d.dead.write(ctx, partition, marks, small))
}

// Mark says of letters that were found to have been sent back that they were.
func (d *DeadLetters) Mark(ctx context.Context, letters []*DeadLetter) error {
	for _, l := range letters {
		mark := kafka.Record{Time: time.Now(), Headers: []kafka.Header{{Key: headerReplayed, Value: []byte(l.tag())}}}
		if err := d.dead.write(ctx, l.Partition, []kafka.Record{mark}, []int{overhead}); err != nil {
			return d.cfg.Kafka.Explain(err)
		}
	}
	return nil
}

// replayMark returns the origin that a record was sent back from, or that it is the mark of.
func replayMark(r *kgo.Record) (string, bool) {
	for _, h := range slices.Backward(r.Headers) {
		if h.Key == headerReplayed {
			return string(h.Value), true
		}
	}
	return "", false
}

// partition returns where records of a partition of the other topic are written.
func (b *letterbox) partition(of int32) int32 { return of % int32(len(b.parts)) }

// each reads what the topic has, up to where each partition ends now; from, where not nil, says which partitions, and
// where to begin in each.
func (b *letterbox) each(ctx context.Context, from map[int32]int64, f func(*kgo.Record)) error {
	first, err := b.client.offsets(ctx, b.parts, earliest)
	if err != nil {
		return err
	}
	ends, err := b.client.offsets(ctx, b.parts, latest)
	if err != nil {
		return err
	}
	for i, p := range b.parts {
		at := first[i]
		if from != nil {
			begin, ok := from[p.partition]
			if !ok {
				continue
			}
			at = max(at, begin)
		}
		for at < ends[i] {
			got, err := b.client.raw(ctx, p, at, throughBytes)
			if err != nil {
				return fmt.Errorf("read partition %d of topic %s: %w", p.partition, b.client.topic, err)
			}
			for _, r := range got.records {
				f(r)
			}
			if got.next == at { // compacted away up to the end
				break
			}
			at = got.next
		}
	}
	return nil
}
