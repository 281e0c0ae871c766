package consumer

import (
	"context"
	"fmt"
	"slices"
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
)

// committed reads what is committed, with one fetch per leader.
//
// kafka-go carries the request and nothing else: its own fetch drops a batch's
// last offset and the time that a broker has given it. kgo makes records of the
// answer, leaves aborted ones and markers out, and knows what comes next.
type committed struct {
	client  *client
	fetches *atomic.Int64
	turn    atomic.Uint32
	memory  memories
}

func newCommitted(c *client, fetches *atomic.Int64) *committed {
	return &committed{client: c, fetches: fetches}
}

func (f *committed) group(_, leader int32) int32 { return leader }

func (f *committed) name(leader int32) string { return fmt.Sprintf("broker %d", leader) }

func (f *committed) close() {}

// renew closes connections that are idle. One that a fetch was given up on is busy, and so not used again before its
// broker has answered.
func (f *committed) renew(int32) { f.client.transport.CloseIdleConnections() }

func (f *committed) fetch(ctx context.Context, leader int32, at []position, handle func(*fetched)) error {
	ctx, cancel := context.WithTimeout(ctx, maxWait+patience)
	defer cancel()
	f.fetches.Add(1)
	m := f.memory.take()
	var answer *kmsg.FetchResponse
	var err error
	if answer, m.answer, err = ask[*kmsg.FetchResponse](ctx, f.client, leader, f.request(at), m.answer); err != nil {
		return err // with the memory lost: see Transport.Request
	}
	more := false
	defer func() {
		if more || m.size() <= smallMemory {
			f.memory.give(m)
		} else {
			f.memory.drop()
		}
	}()
	if err := kerr.ErrorForCode(answer.ErrorCode); err != nil {
		return fmt.Errorf("fetch: %w", err)
	}
	for t := range answer.Topics {
		partitions := answer.Topics[t].Partitions
		for p := range partitions {
			asked := slices.IndexFunc(at, func(a position) bool { return a.partition == partitions[p].Partition })
			if asked >= 0 {
				got := f.read(at[asked], &partitions[p], m)
				more = more || got.next < got.end
				handle(got)
				m.reuse()
			}
		}
	}
	return nil
}

// request asks for the partitions in turns: a broker answers in the order asked, and only the first partition that has
// anything gets a batch that is larger than its share.
func (f *committed) request(at []position) *kmsg.FetchRequest {
	first := int(f.turn.Add(1)) % len(at)
	return f.client.fetchRequest(maxFetch, slices.Concat(at[first:], at[:first])...)
}

// read makes records of what a broker answered about a partition, in memory of m.
func (f *committed) read(asked position, p *kmsg.FetchResponseTopicPartition, m *memory) *fetched {
	got, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset:         asked.offset,
		IsolationLevel: kgo.ReadCommitted(),
		Partition:      asked.partition,
		Pools:          []kgo.Pool{&m.slab},
	}, p, m, nil)
	out := &fetched{
		partition: asked.partition, epoch: asked.epoch, fenced: true, next: max(next, asked.offset),
		end: p.LastStableOffset, high: p.HighWatermark, err: got.Err,
	}
	if p.ErrorCode != 0 {
		out.end, out.high = -1, -1
	}
	for _, r := range got.Records {
		m.records = append(m.records, record{key: r.Key, value: r.Value, offset: r.Offset, time: r.Timestamp.UnixMilli()})
	}
	out.records = m.records
	return out
}
