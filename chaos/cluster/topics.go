package cluster

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Leaders returns the leader of each partition of a topic, -1 where there is none.
func (c *Cluster) Leaders(ctx context.Context, topic string) ([]int, error) {
	topics, err := c.admin.ListTopics(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", topic, err)
	}
	var leaders []int
	for _, p := range topics[topic].Partitions.Sorted() {
		leaders = append(leaders, int(p.Leader))
	}
	return leaders, nil
}

// CreateTopic creates a topic, each partition on all nodes, and returns when it is there.
func (c *Cluster) CreateTopic(ctx context.Context, topic string, partitions int) error {
	if _, err := c.admin.CreateTopic(ctx, int32(partitions), nodes, nil, topic); err != nil {
		return fmt.Errorf("create %s: %w", topic, err)
	}
	return c.AwaitInSync(ctx)
}

// RecreateTopic deletes a topic and creates another of its name.
func (c *Cluster) RecreateTopic(ctx context.Context, topic string, partitions int) error {
	err := c.Insist(ctx, func(ctx context.Context) error {
		_, err := c.admin.DeleteTopic(ctx, topic)
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			return nil // an answer was lost
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("delete %s: %w", topic, err)
	}
	err = c.Insist(ctx, func(ctx context.Context) error {
		_, err := c.admin.CreateTopic(ctx, int32(partitions), nodes, nil, topic)
		if errors.Is(err, kerr.TopicAlreadyExists) {
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("create %s: %w", topic, err)
	}
	return c.AwaitInSync(ctx)
}

// TopicID is what tells a topic from others of its name, in hexadecimal digits.
func (c *Cluster) TopicID(ctx context.Context, topic string) (id string, err error) {
	err = c.Insist(ctx, func(ctx context.Context) error {
		topics, err := c.admin.ListTopics(ctx, topic)
		if err == nil {
			err = topics[topic].Err
		}
		of := topics[topic].ID
		id = hex.EncodeToString(of[:])
		return err
	})
	if err != nil {
		return "", fmt.Errorf("ask for the id of %s: %w", topic, err)
	}
	return id, nil
}
