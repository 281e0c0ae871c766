package consumer

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// headerReplayed is the header of a record that was sent back: the topic's id, the partition and the
// offset of the bad record that it stands for.
const headerReplayed = "paystream-replayed-from"

// History is what the topic itself says of dead letters having been sent back.
type History struct {
	sent    map[string]bool
	first   []int64 // offsets of the partitions
	topicID string
}

// History reads in the topic which of the origins have been sent back. The topic is what knows: what
// is written down elsewhere, before or after the sending, is wrong when the sending ends in between.
func (d *DeadLetters) History(ctx context.Context, origins []Origin) (*History, error) {
	var v *view
	var first []int64
	err := d.retry(ctx, func() (err error) {
		if v, err = d.source.metadata(ctx); err == nil {
			first, err = d.source.offsets(ctx, v.partitions, earliest)
		}
		return err
	})
	if err != nil {
		return nil, d.kafka.Explain(err)
	}
	h := &History{sent: map[string]bool{}, first: first, topicID: hex.EncodeToString(v.topicID[:])}
	from := map[int32]int64{} // a record that was sent back stands in its origin's partition, behind it
	for _, o := range origins {
		start := o.Offset + 1
		if o.TopicID != h.topicID {
			start = 0 // offsets of another topic say nothing
		}
		p := h.partition(o)
		if before, ok := from[p]; !ok || start < before {
			from[p] = start
		}
	}
	for p, start := range from {
		err := d.scan(ctx, d.source, p, start, func(r *kgo.Record) error {
			for _, header := range r.Headers {
				if header.Key == headerReplayed {
					h.sent[string(header.Value)] = true
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return h, nil
}

// partition is where an origin's record is sent.
func (h *History) partition(o Origin) int32 { return o.Partition % int32(len(h.first)) }

// Sent reports whether an origin has been sent back.
func (h *History) Sent(o Origin) bool { return h.sent[o.mark()] }

// Certain reports whether the topic still has all from the origin on: where Kafka has deleted some
// of it, what was sent back may be among that.
func (h *History) Certain(o Origin) bool {
	first := h.first[h.partition(o)]
	return first == 0 || o.TopicID == h.topicID && o.Offset >= first-1
}

// Replay sends dead letters back to the topic, all to the partition of their origin, where they are
// new records with the key, the value and the headers that the letter has, and the header by which
// History knows them. The letters are of one partition. It returns the offset of the first; they stand
// one behind the other. What may pass is tried again, and is then there once.
func (d *DeadLetters) Replay(ctx context.Context, letters []*DeadLetter) (int64, error) {
	records := make([]*kgo.Record, len(letters))
	now := time.Now()
	for i, letter := range letters {
		r := &kgo.Record{Key: letter.Key, Value: letter.Value, Timestamp: now}
		for _, h := range letter.Headers {
			if h.Key != headerReplayed { // of an earlier time
				r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
			}
		}
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: headerReplayed, Value: []byte(letter.Origin.mark())})
		records[i] = r
	}
	offset := int64(-1)
	err := d.retry(ctx, func() error {
		v, err := d.source.metadata(ctx)
		if err != nil {
			return err
		}
		to := v.partitions[int(letters[0].Origin.Partition)%len(v.partitions)]
		offset, err = d.out.write(ctx, to, records)
		return err
	})
	if errors.Is(err, kerr.MessageTooLarge) {
		return -1, tooLarge(d.source.topic, records[0])
	}
	return offset, d.kafka.Explain(err)
}
