package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paystream/internal/kafkaconn"
)

// The versions of the requests that make a topic; see metadataVersion.
const (
	createTopicsVersion    = 4
	describeConfigsVersion = 1
)

const (
	maxMessageBytes = "max.message.bytes"
	// kafkaMaxBytes is Kafka's own default for it.
	kafkaMaxBytes = 1048588
	// headersRoom is what a dead letter may be larger than its record.
	headersRoom = 64 << 10
)

// deadTopic is the topic of the dead letters: where its partitions are, and how it is made. Its
// methods are safe for concurrent use.
type deadTopic struct {
	source, client *client
	largest        int // the largest record that is no bad one
	logger         *slog.Logger

	mu   sync.Mutex
	view *view // nil is not known
}

// shape is how a topic is made.
type shape struct {
	partitions, replicas, maxBytes int
}

// missingError says that there is no dead-letter topic, and what to make.
type missingError struct{ text string }

func (e *missingError) Error() string { return e.text }

// place returns the partition for what a source's partition has: the one of the same number, where
// there is one. It makes the topic if there is none.
func (t *deadTopic) place(ctx context.Context, source int32) (placement, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.view == nil {
		v, err := t.find(ctx)
		if err != nil {
			return placement{}, err
		}
		t.view = v
	}
	return t.view.partitions[int(source)%len(t.view.partitions)], nil
}

// forget has the next place ask where the partitions are.
func (t *deadTopic) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.view = nil
}

func (t *deadTopic) find(ctx context.Context) (*view, error) {
	v, err := t.client.metadata(ctx)
	if !errors.Is(err, kerr.UnknownTopicOrPartition) {
		return v, err
	}
	of, err := t.source.metadata(ctx)
	if err != nil {
		return nil, err
	}
	like := shape{partitions: len(of.partitions), replicas: of.replicas, maxBytes: t.room(ctx)}
	if err := t.create(ctx, of.controller, like); err != nil {
		return nil, t.missing(like, err)
	}
	return t.await(ctx)
}

const (
	// createdTries and createdPause are how long a topic that has just been made may take to be known.
	createdTries = 20
	createdPause = 100 * time.Millisecond
)

// await waits until all partitions have a leader.
func (t *deadTopic) await(ctx context.Context) (v *view, err error) {
	for range createdTries {
		v, err = t.client.metadata(ctx)
		if err == nil && !slices.ContainsFunc(v.partitions, func(p placement) bool { return p.leader == noLeader }) {
			break
		}
		if !sleep(ctx, createdPause) {
			return nil, ctx.Err()
		}
	}
	return v, err
}

// room is the largest record batch that the topic has to take.
func (t *deadTopic) room(ctx context.Context) int {
	largest, err := t.source.maxMessageBytes(ctx)
	if err != nil {
		largest = kafkaMaxBytes // it may not be asked: as good a guess as any
	}
	return max(largest, t.largest) + headersRoom
}

func (t *deadTopic) create(ctx context.Context, controller int32, like shape) error {
	ctx, cancel := context.WithTimeout(ctx, kafkaconn.Patience)
	defer cancel()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = t.client.topic, int32(like.partitions), int16(like.replicas)
	for name, value := range map[string]string{
		maxMessageBytes:          strconv.Itoa(like.maxBytes),
		"cleanup.policy":         "delete", // records of one key are not states of one thing here
		"message.timestamp.type": "CreateTime",
	} {
		config := kmsg.NewCreateTopicsRequestTopicConfig()
		config.Name, config.Value = name, &value
		topic.Configs = append(topic.Configs, config)
	}
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version = createTopicsVersion
	req.TimeoutMillis = produceMillis
	req.Topics = append(req.Topics, topic)
	res, _, err := ask[*kmsg.CreateTopicsResponse](ctx, t.client, controller, req, nil)
	if err != nil {
		return err
	}
	for _, made := range res.Topics {
		switch err := kerr.ErrorForCode(made.ErrorCode); {
		case errors.Is(err, kerr.TopicAlreadyExists):
			return nil
		case err != nil && made.ErrorMessage != nil && *made.ErrorMessage != "":
			return fmt.Errorf("%w (%s)", err, *made.ErrorMessage)
		case err != nil:
			return err
		}
	}
	t.logger.Info("dead-letter topic created", "dead_letter_topic", t.client.topic,
		"partitions", like.partitions, "replicas", like.replicas, "max_message_bytes", like.maxBytes)
	return nil
}

// missing says what to make, and why it was not made here.
func (t *deadTopic) missing(like shape, why error) error {
	return &missingError{fmt.Sprintf("the topic %q for bad records does not exist and could not be created (%v): create it "+
		"(kafka-topics.sh --bootstrap-server %s --create --topic %s --partitions %d --replication-factor %d --config %s=%d)",
		t.client.topic, why, t.client.brokers(), t.client.topic, like.partitions, like.replicas, maxMessageBytes, like.maxBytes)}
}

// maxMessageBytes asks for the size of the topic's largest record batch.
func (c *client) maxMessageBytes(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, kafkaconn.Patience)
	defer cancel()
	resource := kmsg.NewDescribeConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, c.topic
	resource.ConfigNames = []string{maxMessageBytes}
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.Version = describeConfigsVersion
	req.Resources = append(req.Resources, resource)
	res, _, err := ask[*kmsg.DescribeConfigsResponse](ctx, c, kafkaconn.AnyBroker, req, nil)
	if err != nil {
		return 0, err
	}
	for _, r := range res.Resources {
		if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
			return 0, fmt.Errorf("describe the topic's settings: %w", err)
		}
		for _, config := range r.Configs {
			if config.Name == maxMessageBytes && config.Value != nil {
				return strconv.Atoi(*config.Value)
			}
		}
	}
	return 0, errors.New("the topic's settings were left out of the broker's answer")
}
