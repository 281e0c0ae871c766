package consumer

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paystream/internal/kafkaconn"
)

const (
	// writeTimeout is how long Kafka may take to acknowledge what is written.
	writeTimeout = 10 * time.Second
	// letterBytes is about how much is written at once.
	letterBytes = 512 << 10
	// overhead is for a record's own fields and our headers.
	overhead = 1 << 10
	// headroom is what a dead-letter topic takes more than its source.
	headroom = 64 << 10
)

// letterbox writes to a topic: dead letters to theirs, or records that are sent back to their own.
type letterbox struct {
	cfg    kafkaconn.Config
	client *client
	kafka  *kafka.Client
	parts  []placement // of the topic; nil before it is known
}

// openLetterbox does not connect yet.
func openLetterbox(cfg kafkaconn.Config, topic string) (*letterbox, error) {
	transport, err := cfg.Transport(topic)
	if err != nil {
		return nil, err
	}
	return &letterbox{
		cfg: cfg, client: &client{transport: transport, topic: topic, committed: true},
		kafka: &kafka.Client{Addr: transport.Addr(), Transport: transport},
	}, nil
}

func (b *letterbox) close() { b.client.transport.Close() }

// find learns of the topic's partitions.
func (b *letterbox) find(ctx context.Context) error {
	view, err := b.client.metadata(ctx)
	if err != nil {
		return err
	}
	b.client.setTopicID(view.topicID)
	b.parts = view.partitions
	if b.client.fetchVersion == 0 {
		return b.client.learnVersion(ctx)
	}
	return nil
}

// write writes records to a partition, in order, and returns when Kafka has acknowledged all of them from all
// replicas. After an error some may have been written.
func (b *letterbox) write(ctx context.Context, partition int32, records []kafka.Record, sizes []int) error {
	if b.parts == nil {
		if err := b.find(ctx); err != nil {
			return err
		}
	}
	for len(records) > 0 {
		n, bytes := 0, 0
		for n < len(records) && (n == 0 || bytes+sizes[n] <= letterBytes) {
			bytes += sizes[n]
			n++
		}
		if err := b.produce(ctx, int(partition)%len(b.parts), records[:n]); err != nil {
			b.parts = nil // it may have been made anew
			return err
		}
		records, sizes = records[n:], sizes[n:]
	}
	return nil
}

func (b *letterbox) produce(ctx context.Context, partition int, records []kafka.Record) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	res, err := b.kafka.Produce(ctx, &kafka.ProduceRequest{
		Topic: b.client.topic, Partition: partition, RequiredAcks: kafka.RequireAll,
		Records: kafka.NewRecordReader(records...), Compression: kafka.Zstd,
	})
	if err == nil {
		err = res.Error
	}
	if err == nil && len(res.RecordErrors) > 0 {
		err = errors.New("some records were refused")
	}
	if err != nil {
		return fmt.Errorf("write to topic %s: %w", b.client.topic, err)
	}
	return nil
}

// create makes the topic like another one, with room for the largest of its records with our headers.
func (b *letterbox) create(ctx context.Context, source *client) error {
	view, err := source.metadata(ctx)
	if err != nil {
		return err
	}
	largest, err := source.maxMessageBytes(ctx)
	if err != nil {
		return err
	}
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version = createTopicsVersion
	req.TimeoutMillis = int32(writeTimeout.Milliseconds())
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = b.client.topic, int32(len(view.partitions)), view.replicas
	config := kmsg.NewCreateTopicsRequestTopicConfig()
	config.Name, config.Value = "max.message.bytes", new(strconv.Itoa(largest+headroom))
	topic.Configs = append(topic.Configs, config)
	req.Topics = append(req.Topics, topic)
	ctx, cancel := context.WithTimeout(ctx, writeTimeout+kafkaconn.Patience)
	defer cancel()
	res, _, err := ask[*kmsg.CreateTopicsResponse](ctx, source, view.controller, req, nil)
	if err == nil && len(res.Topics) == 1 {
		err = kerr.ErrorForCode(res.Topics[0].ErrorCode)
	}
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return &missingTopicError{b.client.topic, topic.NumPartitions, topic.ReplicationFactor, largest + headroom, err}
	}
	return nil
}

// missingTopicError says what topic somebody has to create.
type missingTopicError struct {
	topic      string
	partitions int32
	replicas   int16
	bytes      int
	err        error
}

func (e *missingTopicError) Error() string {
	return fmt.Sprintf("topic %q for bad records does not exist and can not be created (%v): create it "+
		"(kafka-topics.sh --create --topic %s --partitions %d --replication-factor %d --config max.message.bytes=%d)",
		e.topic, e.err, e.topic, e.partitions, e.replicas, e.bytes)
}

func (e *missingTopicError) Unwrap() error { return e.err }

// maxMessageBytes asks for the largest batch that the topic takes.
func (c *client) maxMessageBytes(ctx context.Context) (int, error) {
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.Version = describeConfigsVersion
	resource := kmsg.NewDescribeConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, c.topic
	resource.ConfigNames = []string{"max.message.bytes"}
	req.Resources = append(req.Resources, resource)
	ctx, cancel := context.WithTimeout(ctx, kafkaconn.Patience)
	defer cancel()
	res, _, err := ask[*kmsg.DescribeConfigsResponse](ctx, c, kafkaconn.AnyBroker, req, nil)
	if err != nil {
		return 0, fmt.Errorf("ask for max.message.bytes of topic %s: %w", c.topic, err)
	}
	for _, r := range res.Resources {
		for _, config := range r.Configs {
			var bytes int
			if config.Value != nil {
				if _, err := fmt.Sscan(*config.Value, &bytes); err == nil {
					return bytes, nil
				}
			}
		}
	}
	return defaultMaxMessage, nil // it is not allowed to be known
}

// defaultMaxMessage is Kafka's own max.message.bytes.
const defaultMaxMessage = 1<<20 + 12
