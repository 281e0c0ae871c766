package sample

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"time"

	paymentpb "paystream/gen/payment"
)

// The types of events.
const (
	Existing = "existing"
	New      = "new"
)

// Topic says where the payments stand on Kafka, and since when. Payment i is in partition
// i % Partitions, and all payments before it are there already.
type Topic struct {
	Name       string
	Partitions int
	// Base is the Kafka time of payment 0, Unix milliseconds; each further one is Step later.
	Base int64
	Step int64
}

// NewTopic returns a topic whose payment number at stands at that time.
func NewTopic(name string, partitions int, step time.Duration, at int, now time.Time) Topic {
	return Topic{
		Name:       name,
		Partitions: partitions,
		Base:       now.UnixMilli() - int64(at)*step.Milliseconds(),
		Step:       step.Milliseconds(),
	}
}

// Partition is payment i's.
func (t Topic) Partition(i int) int32 { return int32(i % t.Partitions) }

// Offset is payment i's in its partition.
func (t Topic) Offset(i int) int64 { return int64(i / t.Partitions) }

// Number is the number of the payment at an offset: the reverse of Partition and Offset.
func (t Topic) Number(partition int32, offset int64) int {
	return int(offset)*t.Partitions + int(partition)
}

// Millis is payment i's Kafka time.
func (t Topic) Millis(i int) int64 { return t.Base + int64(i)*t.Step }

// Event returns payment i as an event, with a cursor as a gateway would make it.
func (t Topic) Event(payments Payments, i int, eventType string) (*paymentpb.PaymentEvent, error) {
	p, err := payments[i].Decode(t.Millis(i))
	if err != nil {
		return nil, err
	}
	return &paymentpb.PaymentEvent{
		Payment:     p,
		EventType:   eventType,
		Topic:       t.Name,
		Partition:   t.Partition(i),
		Offset:      t.Offset(i),
		Cursor:      t.cursor(i),
		PublishedAt: t.Millis(i),
	}, nil
}

// cursor has the form, and so the length, of paystream's: kind, fingerprint, vector, leader epochs, checksum.
func (t Topic) cursor(i int) string {
	b := append([]byte{'c'}, "bench   "...)
	b = binary.AppendUvarint(b, uint64(t.Partitions))
	for p := range t.Partitions {
		next := (i + t.Partitions - p) / t.Partitions // payments up to i in partition p
		b = binary.AppendUvarint(b, uint64(next))
	}
	for range t.Partitions {
		b = binary.AppendUvarint(b, 1) // the first epoch
	}
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	return base64.RawURLEncoding.EncodeToString(b)
}

// Feed says which payments become known when: From up to To, Batch of them every Every. Every 0 is
// as fast as they go.
type Feed struct {
	Topic    Topic
	From, To int
	Batch    int
	Every    time.Duration
}

// Batches calls publish for each batch when it is due, and returns when each payment was published,
// Unix nanoseconds. A late batch is published at once, and none is left out.
func (f Feed) Batches(publish func(from, to int) error) ([]int64, error) {
	sent := make([]int64, f.To-f.From)
	start := time.Now()
	batch := max(f.Batch, 1)
	for i := f.From; i < f.To; i += batch {
		if f.Every > 0 {
			time.Sleep(time.Until(start.Add(time.Duration((i-f.From)/batch) * f.Every)))
		}
		to := min(i+batch, f.To)
		now := time.Now().UnixNano()
		for k := i; k < to; k++ {
			sent[k-f.From] = now
		}
		if err := publish(i, to); err != nil {
			return nil, err
		}
	}
	return sent, nil
}
