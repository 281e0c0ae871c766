package consumer

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kgo"

	"paystream/payment"
)

// The headers of a dead letter, behind those of the record that it is of.
const (
	headerTopic     = "paystream-topic"
	headerTopicID   = "paystream-topic-id"
	headerPartition = "paystream-partition"
	headerOffset    = "paystream-offset"
	headerTime      = "paystream-timestamp" // Unix milliseconds
	headerReason    = "paystream-reason"
	headerField     = "paystream-field" // where the reason is one field's

	ours = 7 // how many there are at the most
)

// headerReplayed is that of a record that was sent back to the topic: the origin of its dead letter.
const headerReplayed = "paystream-replayed"

// Origin is where a record was that became a dead letter. It tells a repeat.
type Origin struct {
	Topic     string
	TopicID   string // in hexadecimal; a topic made anew has another
	Partition int32
	Offset    int64
}

// String is how people name an origin within its topic: partition:offset.
func (o Origin) String() string { return fmt.Sprintf("%d:%d", o.Partition, o.Offset) }

// tag is an origin as a header's value.
func (o Origin) tag() string { return fmt.Sprintf("%s:%s:%s", o.Topic, o.TopicID, o) }

// DeadLetter is a bad record as it stands in the dead-letter topic.
type DeadLetter struct {
	Origin
	// Key, Value and Headers are the record's, byte for byte; nil is none.
	Key, Value []byte
	Headers    []kgo.RecordHeader
	Time       time.Time // the record's
	// Reason says why it is bad, without its content; Field is of what, where it is of one field.
	Reason, Field string
	// Repeats is how many more times it stands there.
	Repeats int
}

// deadLetter makes one of a record that can not be decoded.
func deadLetter(topic, topicID string, r *kgo.Record, why error) DeadLetter {
	rejection := rejectionOf(why)
	return DeadLetter{
		Origin: Origin{topic, topicID, r.Partition, r.Offset},
		Key:    r.Key, Value: r.Value, Headers: r.Headers, Time: r.Timestamp,
		Reason: rejection.Reason, Field: rejection.Field,
	}
}

func rejectionOf(err error) *payment.Rejection {
	if why := (*payment.Rejection)(nil); errors.As(err, &why) {
		return why
	}
	return &payment.Rejection{Reason: "can not be decoded"}
}

// record returns what is written to the dead-letter topic.
func (l *DeadLetter) record() kafka.Record {
	out := kafka.Record{Key: kafka.NewBytes(l.Key), Value: kafka.NewBytes(l.Value), Time: l.Time}
	for _, h := range l.Headers {
		out.Headers = append(out.Headers, kafka.Header{Key: h.Key, Value: h.Value})
	}
	add := func(name, value string) {
		out.Headers = append(out.Headers, kafka.Header{Key: name, Value: []byte(value)})
	}
	add(headerTopic, l.Topic)
	add(headerTopicID, l.TopicID)
	add(headerPartition, strconv.Itoa(int(l.Partition)))
	add(headerOffset, strconv.FormatInt(l.Offset, 10))
	add(headerTime, strconv.FormatInt(l.Time.UnixMilli(), 10))
	add(headerReason, l.Reason)
	if l.Field != "" {
		add(headerField, l.Field)
	}
	return out
}

// readLetter makes a dead letter of a record of the dead-letter topic. It reports false for one that is none.
func readLetter(r *kgo.Record) (DeadLetter, bool) {
	l := DeadLetter{Key: r.Key, Value: r.Value, Headers: r.Headers, Time: r.Timestamp}
	at := len(r.Headers)
	var partition, offset string
	for at > 0 && len(r.Headers)-at < ours { // from behind: the record may have been a dead letter itself
		h := r.Headers[at-1]
		switch value := string(h.Value); h.Key {
		case headerField:
			l.Field = value
		case headerReason:
			l.Reason = value
		case headerTime:
			if ms, err := strconv.ParseInt(value, 10, 64); err == nil {
				l.Time = time.UnixMilli(ms)
			}
		case headerOffset:
			offset = value
		case headerPartition:
			partition = value
		case headerTopicID:
			l.TopicID = value
		case headerTopic:
			l.Topic = value
		default:
			return l, false
		}
		if at--; h.Key == headerTopic {
			break
		}
	}
	p, errPartition := strconv.ParseInt(partition, 10, 32)
	o, errOffset := strconv.ParseInt(offset, 10, 64)
	if errPartition != nil || errOffset != nil || l.Topic == "" {
		return l, false
	}
	l.Partition, l.Offset, l.Headers = int32(p), o, r.Headers[:at:at]
	return l, true
}
