package consumer

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// raw is records as they stand on Kafka, headers included.
type raw struct {
	records []*kgo.Record
	next    int64 // the offset to go on from; no less than was asked for
	end     int64 // where what may be read ends now
}

// raw reads some records of a partition: a record batch at the least, and no more than maxBytes
// where batches allow it. It waits up to maxWait for a first one. What a transaction has aborted is
// not among them, unless the client reads what is not committed; markers never are.
func (c *client) raw(ctx context.Context, at placement, from int64, maxBytes int32) (*raw, error) {
	if at.leader == noLeader {
		return nil, &partitionError{at.partition, errNoLeader}
	}
	ctx, cancel := context.WithTimeout(ctx, maxWait+patience)
	defer cancel()
	req := c.fetchRequest(maxBytes, position{partition: at.partition, epoch: at.epoch, offset: from, maxBytes: maxBytes})
	answer, _, err := ask[*kmsg.FetchResponse](ctx, c, at.leader, req, nil)
	if err != nil {
		return nil, err
	}
	if err := kerr.ErrorForCode(answer.ErrorCode); err != nil {
		return nil, fmt.Errorf("fetch: %w", err)
	}
	if len(answer.Topics) != 1 || len(answer.Topics[0].Partitions) != 1 {
		return nil, &partitionError{at.partition, errNotAnswered}
	}
	isolation := kgo.ReadUncommitted()
	if c.committed {
		isolation = kgo.ReadCommitted()
	}
	p := &answer.Topics[0].Partitions[0]
	got, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset: from, IsolationLevel: isolation, Topic: c.topic, Partition: at.partition,
	}, p, kgo.DefaultDecompressor(), nil)
	if got.Err != nil {
		return nil, &partitionError{at.partition, got.Err}
	}
	end := p.HighWatermark
	if c.committed {
		end = p.LastStableOffset
	}
	return &raw{records: got.Records, next: max(next, from), end: end}, nil
}
