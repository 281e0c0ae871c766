package consumer

import (
	"encoding/hex"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"paystream/payment"
)

// DeadLetterTopic returns the name of the topic that a topic's bad records go to.
func DeadLetterTopic(topic string) string { return topic + ".dlq" }

// The headers that a dead letter has behind those of the record itself. The first three say where
// the record stands, and so tell a repeat.
const (
	headerTopic     = "paystream-topic"
	headerPartition = "paystream-partition"
	headerOffset    = "paystream-offset"
	headerTime      = "paystream-timestamp" // Unix milliseconds, the record's
	headerReason    = "paystream-reason"
	headerField     = "paystream-field" // where one field is at fault
	headerTopicID   = "paystream-topic-id"
)

// ownHeaders is how many headers a dead letter has of ours at the least.
const ownHeaders = 6

const (
	// keepTime is how old a record may be for its dead letter to have its time. An older one has the
	// time of its writing, or the topic's retention would take it away at once.
	keepTime = 24 * time.Hour
	// aheadTime is how far in the future: brokers refuse what is far ahead.
	aheadTime = time.Minute
)

// deadLetter returns what is written of a bad record: its key, value and headers as they are.
func deadLetter(topic string, topicID [16]byte, r *kgo.Record, why *payment.Rejection, now time.Time) *kgo.Record {
	headers := make([]kgo.RecordHeader, 0, len(r.Headers)+ownHeaders+1)
	headers = append(headers, r.Headers...)
	add := func(key, value string) {
		headers = append(headers, kgo.RecordHeader{Key: key, Value: []byte(value)})
	}
	add(headerTopic, topic)
	add(headerPartition, strconv.Itoa(int(r.Partition)))
	add(headerOffset, strconv.FormatInt(r.Offset, 10))
	add(headerTime, strconv.FormatInt(r.Timestamp.UnixMilli(), 10))
	add(headerTopicID, hex.EncodeToString(topicID[:]))
	add(headerReason, why.Reason)
	if why.Field != "" {
		add(headerField, why.Field)
	}
	at := r.Timestamp
	if at.Before(now.Add(-keepTime)) || at.After(now.Add(aheadTime)) {
		at = now
	}
	return &kgo.Record{Key: r.Key, Value: r.Value, Headers: headers, Timestamp: at, Offset: r.Offset}
}

// inspector tells bad records from good ones, as the stream does.
type inspector struct {
	decoder payment.Decoder
	// emptyIsNone says that an empty value counts as none: kafka.Reader does not tell them apart.
	emptyIsNone bool
	scratch     []byte
}

func (c *Consumer) newInspector() *inspector {
	return &inspector{
		decoder:     payment.Decoder{Units: c.cfg.Units, MaxBytes: c.cfg.MaxRecordBytes},
		emptyIsNone: c.cfg.ReadUncommitted,
	}
}

// inspect returns why a record is a bad one, or nil.
func (i *inspector) inspect(r *kgo.Record) *payment.Rejection {
	if r.Value == nil || i.emptyIsNone && len(r.Value) == 0 {
		return nil
	}
	encoded, _, err := i.decoder.Append(i.scratch[:0], r.Value, r.Timestamp.UnixMilli())
	if cap(encoded) <= keepArena {
		i.scratch = encoded
	}
	return rejection(err)
}
