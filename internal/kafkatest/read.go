package kafkatest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Read returns what a consumer is shown of the whole topic, as it is at the
// moment of the call: with readCommitted up to the last stable offset and
// without the records of aborted transactions, else up to the end with them.
// Transaction markers are never among the records, which are ordered by
// partition and offset. It is franz-go's consumer that reads: the reference
// that other readers are to agree with.
func (k *Kafka) Read(t testing.TB, topic string, readCommitted bool) []*kgo.Record {
	t.Helper()
	listEnd, isolation := (*kadm.Client).ListEndOffsets, kgo.ReadUncommitted()
	if readCommitted {
		listEnd, isolation = (*kadm.Client).ListCommittedOffsets, kgo.ReadCommitted()
	}
	rest := remainder{}
	from := map[int32]kgo.Offset{}
	k.admin(t, "list offsets of "+topic, func(ctx context.Context, adm *kadm.Client) error {
		end, err := listEnd(adm, ctx, topic)
		if err := errors.Join(err, end.Error()); err != nil {
			return err
		}
		start, err := adm.ListStartOffsets(ctx, topic)
		if err := errors.Join(err, start.Error()); err != nil {
			return err
		}
		for p, first := range start[topic] {
			if last := end[topic][p].Offset; first.Offset < last {
				rest[p] = last
				from[p] = kgo.NewOffset().At(first.Offset)
			}
		}
		return nil
	})
	if len(rest) == 0 {
		return nil
	}
	ctx, cancel := helperContext(t)
	defer cancel()
	records, err := k.readTo(ctx, topic, from, rest, kgo.FetchIsolationLevel(isolation))
	if err != nil {
		t.Fatalf("read %s: %v", topic, err)
	}
	slices.SortFunc(records, func(a, b *kgo.Record) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	return records
}

func (k *Kafka) readTo(ctx context.Context, topic string, from map[int32]kgo.Offset, rest remainder, isolation kgo.Opt) ([]*kgo.Record, error) {
	cl, err := k.client(isolation,
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}),
		// A log may end in markers. What it ends in, or what stands before its
		// last stable offset, compaction leaves there, so the end is always met.
		kgo.KeepControlRecords())
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	var records []*kgo.Record
	for len(rest) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, fmt.Errorf("%w; not read up to, by partition: %v", err, rest)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if rest.take(r) && !r.Attrs.IsControl() {
				records = append(records, r)
			}
		})
	}
	return records, nil
}

// remainder is, for each partition not yet read to its end, that end.
type remainder map[int32]int64

// take reports whether r lies before its partition's end, and notes what it
// says about how far the partition has been read.
func (rest remainder) take(r *kgo.Record) bool {
	end, ok := rest[r.Partition]
	if r.Offset >= end-1 {
		delete(rest, r.Partition)
	}
	return ok && r.Offset < end
}
