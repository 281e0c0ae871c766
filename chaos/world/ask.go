package world

import (
	"context"
	"fmt"
)

// Members is how many members the gateways' group has.
func (w *World) Members(ctx context.Context) (int, error) {
	members := 0
	err := w.Cluster.Insist(ctx, func(ctx context.Context) error {
		groups, err := w.Cluster.Admin().DescribeGroups(ctx, Group)
		members = len(groups[Group].Members)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("describe the group: %w", err)
	}
	return members, nil
}

// HasDeadLetters reports whether there is a dead-letter topic.
func (w *World) HasDeadLetters(ctx context.Context) (bool, error) {
	topics, err := w.Cluster.Admin().ListTopics(ctx)
	if err != nil {
		return false, fmt.Errorf("list topics: %w", err)
	}
	return topics.Has(DeadLetters), nil
}
