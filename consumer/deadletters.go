package consumer

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"paystream/internal/kafkaconn"
	"paystream/payment"
)

// Origin is where a bad record stands.
type Origin struct {
	Topic     string
	TopicID   string // tells the topic from others of its name, before it and after it
	Partition int32
	Offset    int64
}

// String is the origin as people write it: PARTITION:OFFSET.
func (o Origin) String() string { return fmt.Sprintf("%d:%d", o.Partition, o.Offset) }

// mark is the origin as a replayed record carries it.
func (o Origin) mark() string { return fmt.Sprintf("%s/%d/%d", o.TopicID, o.Partition, o.Offset) }

// Header is a header of a record.
type Header struct {
	Key   string
	Value []byte
}

// DeadLetter is a bad record as it stands in the dead-letter topic. Key, Value and Headers are the
// record's own, byte for byte.
type DeadLetter struct {
	Origin Origin
	Time   time.Time // the bad record's
	Reason string
	Field  string // empty where it is not one field that is at fault

	Key, Value []byte // nil is none
	Headers    []Header
}

// Size is how many bytes key, value and headers have.
func (d *DeadLetter) Size() int {
	n := len(d.Key) + len(d.Value)
	for _, h := range d.Headers {
		n += len(h.Key) + len(h.Value)
	}
	return n
}

// readLetter reads a dead letter. What has no origin is none. A record's own headers may have names of
// ours, and stand before them.
func readLetter(r *kgo.Record) (*DeadLetter, bool) {
	d := &DeadLetter{Key: r.Key, Value: r.Value}
	from := len(r.Headers)
	for i := range r.Headers {
		if r.Headers[i].Key == headerTopic {
			from = i
		}
	}
	for _, h := range r.Headers[:from] {
		d.Headers = append(d.Headers, Header{h.Key, h.Value})
	}
	found := map[string]string{}
	for _, h := range r.Headers[from:] {
		found[h.Key] = string(h.Value)
	}
	partition, err1 := strconv.ParseInt(found[headerPartition], 10, 32)
	offset, err2 := strconv.ParseInt(found[headerOffset], 10, 64)
	if err1 != nil || err2 != nil {
		return nil, false
	}
	at, err := strconv.ParseInt(found[headerTime], 10, 64)
	if err != nil {
		at = r.Timestamp.UnixMilli()
	}
	d.Time = time.UnixMilli(at)
	d.Origin = Origin{Topic: found[headerTopic], TopicID: found[headerTopicID], Partition: int32(partition), Offset: offset}
	d.Reason, d.Field = found[headerReason], found[headerField]
	return d, true
}

// DeadLetters reads the dead letters of a topic, and sends them back. Open one with [OpenDeadLetters].
// It is used by one goroutine.
type DeadLetters struct {
	kafka        kafkaconn.Config
	decoder      payment.Decoder
	transport    *kafkaconn.Transport
	source, dead *client
	out          *batchWriter
}

// ErrNoDeadLetters says that there is no dead-letter topic, as where there never was a bad record.
var ErrNoDeadLetters = errors.New("there are no dead letters: their topic does not exist")

// OpenDeadLetters returns the dead letters of the topic that cfg names. It does not connect yet; errors
// are about the settings. The caller closes it.
func OpenDeadLetters(cfg Config) (*DeadLetters, error) {
	transport, err := cfg.Kafka.Transport(cfg.Topic)
	if err != nil {
		return nil, err
	}
	// Not only what is committed: an open transaction would hide what was sent back behind it.
	source := &client{transport: transport, topic: cfg.Topic}
	return &DeadLetters{
		kafka:     cfg.Kafka,
		decoder:   payment.Decoder{Units: cfg.Units, MaxBytes: cfg.MaxRecordBytes},
		transport: transport,
		source:    source,
		dead:      &client{transport: transport, topic: DeadLetterTopic(cfg.Topic)},
		out:       newBatchWriter(source),
	}, nil
}

// Close closes all connections.
func (d *DeadLetters) Close() { d.transport.Close() }

// Each calls do for each dead letter that there is at the call, by partition and in order, until one
// of the calls fails. Repeats come as often as they are there. Errors of Kafka's are in words for
// people; one is [ErrNoDeadLetters].
func (d *DeadLetters) Each(ctx context.Context, do func(*DeadLetter) error) error {
	var view *view
	err := d.retry(ctx, func() (err error) {
		view, err = d.dead.metadata(ctx)
		return err
	})
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		if _, err := d.source.metadata(ctx); err != nil { // its name may be misspelt
			return d.kafka.Explain(err)
		}
		return fmt.Errorf("%w (%s)", ErrNoDeadLetters, d.dead.topic)
	}
	if err != nil {
		return d.kafka.Explain(err)
	}
	for p := range view.partitions {
		err := d.scan(ctx, d.dead, int32(p), 0, func(r *kgo.Record) error {
			if letter, ok := readLetter(r); ok {
				return do(letter)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Inspect returns why a value is none of a good payment with the present settings, or nil.
func (d *DeadLetters) Inspect(value []byte) error {
	if value == nil {
		return &payment.Rejection{Reason: "has no value"}
	}
	_, err := d.decoder.Decode(value, time.Now().UnixMilli())
	return err
}

// scan reads a partition from an offset, or where that is gone from the first that there is, up to
// where it ended at the call.
func (d *DeadLetters) scan(ctx context.Context, of *client, partition int32, from int64, do func(*kgo.Record) error) error {
	var at placement
	var end int64
	locate := func() error {
		v, err := of.metadata(ctx)
		if err != nil {
			return err
		}
		if int(partition) >= len(v.partitions) {
			return fmt.Errorf("topic %s has no partition %d", of.topic, partition)
		}
		at = v.partitions[partition]
		return nil
	}
	err := d.retry(ctx, func() error {
		if err := locate(); err != nil {
			return err
		}
		first, err := of.offsets(ctx, []placement{at}, earliest)
		if err != nil {
			return err
		}
		last, err := of.offsets(ctx, []placement{at}, latest)
		if err != nil {
			return err
		}
		from, end = max(from, first[0]), last[0]
		return nil
	})
	for from < end && err == nil {
		var got *raw
		err = d.retry(ctx, func() (err error) {
			if got, err = of.raw(ctx, at, from, scanBytes); err != nil {
				_ = locate() // the next try may go elsewhere
			}
			return err
		})
		if err != nil {
			break
		}
		for _, r := range got.records {
			if r.Offset >= end {
				break
			}
			if err := do(r); err != nil {
				return err
			}
		}
		from = got.next
	}
	return d.kafka.Explain(err)
}

// retries is how often what may pass is tried.
const retries = 6

func (d *DeadLetters) retry(ctx context.Context, do func() error) error {
	for failures := 0; ; failures++ {
		err := do()
		switch explained := d.kafka.Explain(err); {
		case err == nil, ctx.Err() != nil, failures == retries-1,
			errors.Is(explained, kafkaconn.ErrUnreachable) && failures > 1,
			errors.Is(explained, kafkaconn.ErrRefused), errors.Is(explained, kafkaconn.ErrNoTopic):
			return err
		}
		if !sleep(ctx, backoff(failures)) {
			return ctx.Err()
		}
	}
}
