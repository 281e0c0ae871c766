package consumer

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
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

// commit is what a group has committed of a partition.
type commit struct {
	offset int64
	epoch  int32 // the leader's under which the offset was found to be Kafka's, or unknownEpoch
	ours   bool  // a gateway's, of this very topic
}

// committedOffsets is what a group has committed of a topic.
type committedOffsets struct {
	of map[int32]commit
	// partitions is how many the topic had when the group began with it: those behind them were added later.
	partitions int
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

// marks are what the metadata of a gateway's commits begin with: those of the cluster, and of the topic, behind which it
// says how many partitions that had when the group began with it.
func (s *offsetStore) marks() (ofCluster, ofTopic string) {
	ofCluster = "paystream cluster=" + s.client.clusterID + " topic="
	return ofCluster, ofCluster + hex.EncodeToString(s.client.topicID[:]) + " partitions="
}

// fetch returns what the group has committed, known being how many partitions the topic has. Of a commit that says
// that it is of another topic of this cluster nothing is left but that the topic was made anew. One that does not say,
// as other programs make them, counts, and so does one that was carried over from another cluster.
func (s *offsetStore) fetch(ctx context.Context, known int) (*committedOffsets, error) {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Version, req.Group = offsetFetchVersion, s.group // of all topics that the group has
	res, err := coordinated[*kmsg.OffsetFetchResponse](ctx, s, req)
	if err != nil {
		return nil, err
	}
	all := &committedOffsets{of: map[int32]commit{}, partitions: known}
	err = kerr.ErrorForCode(res.ErrorCode)
	for _, t := range res.Topics {
		if t.Topic != s.client.topic {
			continue
		}
		for _, p := range t.Partitions {
			if p.ErrorCode != 0 {
				err = &partitionError{p.Partition, kerr.ErrorForCode(p.ErrorCode)}
			} else if p.Offset >= 0 {
				s.take(all, p)
			}
		}
	}
	if err != nil {
		s.coordinator = kafkaconn.AnyBroker
		return nil, fmt.Errorf("fetch what the group has committed: %w", err)
	}
	return all, nil
}

func (s *offsetStore) take(all *committedOffsets, p kmsg.OffsetFetchResponseTopicPartition) {
	c := commit{offset: p.Offset, epoch: p.LeaderEpoch}
	if p.Metadata != nil {
		ofCluster, ofTopic := s.marks()
		partitions, ours := strings.CutPrefix(*p.Metadata, ofTopic)
		if !ours && strings.HasPrefix(*p.Metadata, ofCluster) {
			all.partitions = 0 // the group was there before the topic
			return
		}
		if n, err := strconv.Atoi(partitions); ours && err == nil {
			c.ours, all.partitions = true, min(all.partitions, n)
		}
	}
	all.of[p.Partition] = c
}

// write commits, as a member of a generation of the group that has begun with so many partitions.
func (s *offsetStore) write(ctx context.Context, as *kafka.Generation, partitions int, offsets map[int32]commit) error {
	_, metadata := s.marks()
	metadata += strconv.Itoa(partitions)
	topic := kmsg.NewOffsetCommitRequestTopic()
	topic.Topic = s.client.topic
	for partition, c := range offsets {
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset, p.LeaderEpoch, p.Metadata = partition, c.offset, c.epoch, &metadata
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
			if p.ErrorCode != 0 { // the others have the same, mostly
				s.coordinator = kafkaconn.AnyBroker
				return fmt.Errorf("commit: %w", &partitionError{p.Partition, kerr.ErrorForCode(p.ErrorCode)})
			}
		}
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
