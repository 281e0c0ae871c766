package consumer

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// rawTimeout is how long one fetch of what is there already may take.
const rawTimeout = 10 * time.Second

// raw is what was read of a partition with all that its records have.
type raw struct {
	records []*kgo.Record
	next    int64 // the offset to go on from
	end     int64 // where what may be read ends
}

// raw reads a partition's records from an offset on, about so many bytes but one batch at the least. It waits for
// nothing: there may be none.
func (c *client) raw(ctx context.Context, of placement, offset int64, maxBytes int32) (raw, error) {
	if of.leader == noLeader {
		return raw{}, &partitionError{of.partition, errNoLeader}
	}
	ctx, cancel := context.WithTimeout(ctx, rawTimeout)
	defer cancel()
	req := kmsg.NewPtrFetchRequest()
	req.Version = c.fetchVersion
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = 0, 0, maxBytes
	req.IsolationLevel = c.isolation()
	req.SessionID, req.SessionEpoch = 0, -1
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.CurrentLeaderEpoch, p.FetchOffset, p.PartitionMaxBytes = of.partition, of.epoch, offset, maxBytes
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic, topic.TopicID = c.topic, c.topicID
	topic.Partitions = append(topic.Partitions, p)
	req.Topics = append(req.Topics, topic)
	res, _, err := ask[*kmsg.FetchResponse](ctx, c, of.leader, req, nil)
	if err == nil {
		err = kerr.ErrorForCode(res.ErrorCode)
	}
	if err != nil {
		return raw{}, fmt.Errorf("fetch: %w", err)
	}
	if len(res.Topics) != 1 || len(res.Topics[0].Partitions) != 1 {
		return raw{}, &partitionError{of.partition, errNotAnswered}
	}
	answer := &res.Topics[0].Partitions[0]
	isolation := kgo.ReadUncommitted()
	if c.committed {
		isolation = kgo.ReadCommitted()
	}
	got, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset: offset, IsolationLevel: isolation, Topic: c.topic, Partition: of.partition,
	}, answer, kgo.DefaultDecompressor(), nil)
	if got.Err != nil {
		return raw{}, &partitionError{of.partition, got.Err}
	}
	return raw{records: got.Records, next: max(next, offset), end: answer.LastStableOffset}, nil
}
