package consumer

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paystream/internal/kafkaconn"
)

// The versions of the requests about what a group has committed; see metadataVersion.
const (
	findCoordinatorVersion = 2
	offsetFetchVersion     = 5 // the first with leader epochs
	offsetCommitVersion    = 6 // the same
)

// topicMark is what stands before the topic's id in a commit's metadata.
const topicMark = "topic id "

// commit is what a group has committed of a partition: the next offset, and the leader epoch under which it was found to
// be Kafka's, or unknownEpoch.
type commit struct {
	offset int64
	epoch  int32
}

// offsetStore is what a group has committed of a topic. Kafka keeps that by the topic's name, and whatever becomes of the
// records: so each commit says of which topic it is, by its id, and of which leader epoch. It belongs to one goroutine.
type offsetStore struct {
	client      *client // of the topic
	group       string
	coordinator int32 // kafkaconn.AnyBroker is not known
}

func newOffsetStore(c *client, group string) *offsetStore {
	return &offsetStore{client: c, group: group, coordinator: kafkaconn.AnyBroker}
}

func (s *offsetStore) mark() string { return topicMark + hex.EncodeToString(s.client.topicID[:]) }

// fetch returns what the group has committed, by partition. One that says that it is of another topic is none; one that
// does not say, as other programs make them, counts.
func (s *offsetStore) fetch(ctx context.Context) (map[int32]commit, error) {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Version, req.Group = offsetFetchVersion, s.group // of all topics that the group has
	res, err := coordinated[*kmsg.OffsetFetchResponse](ctx, s, req)
	if err != nil {
		return nil, err
	}
	found, err := map[int32]commit{}, kerr.ErrorForCode(res.ErrorCode)
	for _, t := range res.Topics {
		if t.Topic != s.client.topic {
			continue
		}
		for _, p := range t.Partitions {
			switch {
			case p.ErrorCode != 0:
				err = &partitionError{p.Partition, kerr.ErrorForCode(p.ErrorCode)}
			case p.Offset >= 0 && s.counts(p.Metadata):
				found[p.Partition] = commit{offset: p.Offset, epoch: p.LeaderEpoch}
			}
		}
	}
	if err != nil {
		s.coordinator = kafkaconn.AnyBroker
		return nil, fmt.Errorf("fetch what the group has committed: %w", err)
	}
	return found, nil
}

func (s *offsetStore) counts(metadata *string) bool {
	return metadata == nil || !strings.HasPrefix(*metadata, topicMark) || *metadata == s.mark()
}

// write commits, as a member of a generation of the group.
func (s *offsetStore) write(ctx context.Context, as *kafka.Generation, offsets map[int32]commit) error {
	mark := s.mark()
	topic := kmsg.NewOffsetCommitRequestTopic()
	topic.Topic = s.client.topic
	for partition, c := range offsets {
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset, p.LeaderEpoch, p.Metadata = partition, c.offset, c.epoch, &mark
		topic.Partitions = append(topic.Partitions, p)
	}
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version, req.Group = offsetCommitVersion, s.group
	req.Generation, req.MemberID = as.ID, as.MemberID
	req.Topics = append(req.Topics, topic)
	res, err := coordinated[*kmsg.OffsetCommitResponse](ctx, s, req)
	if err != nil {
		return err
	}
	for _, t := range res.Topics {
		for _, p := range t.Partitions {
			if p.ErrorCode != 0 {
				err = errors.Join(err, &partitionError{p.Partition, kerr.ErrorForCode(p.ErrorCode)})
			}
		}
	}
	if err != nil {
		s.coordinator = kafkaconn.AnyBroker
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// coordinated asks the group's coordinator.
func coordinated[R kmsg.Response](ctx context.Context, s *offsetStore, req kmsg.Request) (R, error) {
	var none R
	if err := s.find(ctx); err != nil {
		return none, err
	}
	res, _, err := ask[R](ctx, s.client, s.coordinator, req, nil)
	if err != nil {
		s.coordinator = kafkaconn.AnyBroker
		return none, err
	}
	return res, nil
}

// find finds the group's coordinator, where it is not known.
func (s *offsetStore) find(ctx context.Context) error {
	if s.coordinator != kafkaconn.AnyBroker {
		return nil
	}
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.Version, req.CoordinatorKey = findCoordinatorVersion, s.group
	res, _, err := ask[*kmsg.FindCoordinatorResponse](ctx, s.client, kafkaconn.AnyBroker, req, nil)
	if err == nil {
		err = kerr.ErrorForCode(res.ErrorCode)
	}
	if err != nil {
		return fmt.Errorf("find the group's coordinator: %w", err)
	}
	s.coordinator = res.NodeID
	return nil
}
