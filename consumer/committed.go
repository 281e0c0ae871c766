package consumer

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// maxFetch bounds an answer, but for one record batch that is larger.
	maxFetch = 8 << 20
	// patience is how much longer than maxWait an answer may take to arrive. A
	// broker that is half gone neither answers nor hangs up.
	patience = 10 * time.Second
	// buffers is how many answers' memory is kept.
	buffers = 4
)

// committed reads what is committed, with one fetch per leader.
//
// kafka-go carries the request and nothing else: its own fetch drops a batch's
// last offset and the time that a broker has given it. kgo makes records of the
// answer, leaves aborted ones and markers out, and knows what comes next.
type committed struct {
	client       *client
	decompressor kgo.Decompressor
	fetches      *atomic.Int64
	turn         atomic.Uint32

	mu   sync.Mutex
	free [][]byte
}

func newCommitted(c *client, fetches *atomic.Int64) *committed {
	return &committed{client: c, decompressor: kgo.DefaultDecompressor(), fetches: fetches}
}

func (f *committed) group(_, leader int32) int32 { return leader }

func (f *committed) name(leader int32) string { return fmt.Sprintf("broker %d", leader) }

func (f *committed) close() {}

func (f *committed) fetch(ctx context.Context, leader int32, at []position, handle func(*fetched)) error {
	ctx, cancel := context.WithTimeout(ctx, maxWait+patience)
	defer cancel()
	f.fetches.Add(1)
	answer, buf, err := ask[*kmsg.FetchResponse](ctx, f.client, leader, f.request(at), f.take())
	if err != nil {
		return err
	}
	defer f.give(buf)
	if err := kerr.ErrorForCode(answer.ErrorCode); err != nil {
		return fmt.Errorf("fetch: %w", err)
	}
	for t := range answer.Topics {
		partitions := answer.Topics[t].Partitions
		for p := range partitions {
			asked := slices.IndexFunc(at, func(a position) bool { return a.partition == partitions[p].Partition })
			if asked >= 0 {
				handle(f.read(at[asked], &partitions[p]))
			}
		}
	}
	return nil
}

func (f *committed) request(at []position) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.Version = fetchVersion
	req.MaxWaitMillis = int32(maxWait.Milliseconds())
	req.MinBytes = 1
	req.MaxBytes = maxFetch
	req.IsolationLevel = f.client.isolation()
	req.SessionID, req.SessionEpoch = 0, -1 // no session
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic = f.client.topic
	// A broker answers in the order asked, and only the first partition that has
	// anything gets a batch that is larger than its share: all have to be first
	// now and then.
	first := int(f.turn.Add(1)) % len(at)
	for i := range at {
		a := at[(first+i)%len(at)]
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.CurrentLeaderEpoch, p.FetchOffset, p.PartitionMaxBytes = a.partition, a.epoch, a.offset, a.maxBytes
		topic.Partitions = append(topic.Partitions, p)
	}
	req.Topics = append(req.Topics, topic)
	return req
}

// read makes records of what a broker answered about a partition.
func (f *committed) read(asked position, p *kmsg.FetchResponseTopicPartition) *fetched {
	got, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset:         asked.offset,
		IsolationLevel: kgo.ReadCommitted(),
		Partition:      asked.partition,
	}, p, f.decompressor, nil)
	out := &fetched{
		partition: asked.partition, epoch: asked.epoch, next: max(next, asked.offset),
		end: p.LastStableOffset, high: p.HighWatermark, err: got.Err,
	}
	if p.ErrorCode != 0 {
		out.end, out.high = -1, -1
	}
	out.records = make([]record, len(got.Records))
	for i, r := range got.Records {
		out.records[i] = record{key: r.Key, value: r.Value, offset: r.Offset, time: r.Timestamp.UnixMilli()}
	}
	return out
}

func (f *committed) take() []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.free) == 0 {
		return nil
	}
	buf := f.free[len(f.free)-1]
	f.free = f.free[:len(f.free)-1]
	return buf
}

func (f *committed) give(buf []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if buf != nil && len(f.free) < buffers {
		f.free = append(f.free, buf)
	}
}
