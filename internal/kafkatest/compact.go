package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// CompactedTopic is the configuration of a topic that [Kafka.Compact] can
// compact: every batch begins a new segment, and no record is too young.
func CompactedTopic() map[string]string {
	return map[string]string{
		"cleanup.policy":            "compact",
		"segment.ms":                "1",
		"min.cleanable.dirty.ratio": "0",
		"min.compaction.lag.ms":     "0",
		"delete.retention.ms":       "0",
	}
}

// Compact compacts all that a topic's partitions hold, and returns when the
// broker has done it: of each key only the last record is left, aborted records
// are gone, offsets have holes. A tombstone outlives the compaction that first
// meets it; a second call removes it.
//
// Since Kafka never compacts the segment it writes to, Compact appends a
// transaction marker, and nothing else, to each partition, which takes an
// offset that no consumer is shown. The topic is configured as by
// [CompactedTopic], and no transaction is open in it.
func (k *Kafka) Compact(t testing.TB, topic string) {
	t.Helper()
	time.Sleep(2 * time.Millisecond) // the last segment is to be older than segment.ms
	targets := map[string]int64{}
	k.admin(t, "compact "+topic, func(ctx context.Context, adm *kadm.Client) error {
		offsets, err := adm.ListEndOffsets(ctx, topic)
		if err := errors.Join(err, offsets.Error()); err != nil {
			return err
		}
		var partitions []int32
		offsets.Each(func(o kadm.ListedOffset) {
			if o.Offset > 0 { // else there is nothing to compact
				partitions = append(partitions, o.Partition)
				targets[fmt.Sprintf("%s %d", topic, o.Partition)] = o.Offset
			}
		})
		if len(partitions) == 0 {
			return nil
		}
		if err := k.appendMarkers(ctx, topic, partitions); err != nil {
			return fmt.Errorf("append markers: %w", err)
		}
		var behind string
		err = poll(ctx, func() (ok bool, err error) {
			behind, err = k.node.uncompacted(targets)
			return behind == "", err
		})
		if err != nil && behind != "" {
			return fmt.Errorf("%w: %s", err, behind)
		}
		return err
	})
}

// uncompacted says which of the partitions ("topic number") are not compacted up
// to their offset. The cleaner writes down where it has come to, a line for each
// partition, after the new segments have taken the place of the old.
func (n *node) uncompacted(targets map[string]int64) (string, error) {
	text, err := os.ReadFile(filepath.Join(n.dataDir(), "cleaner-offset-checkpoint"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	reached := map[string]int64{}
	for line := range strings.Lines(string(text)) {
		if i := strings.LastIndexByte(line, ' '); i > 0 {
			offset, err := strconv.ParseInt(strings.TrimSpace(line[i:]), 10, 64)
			if err != nil {
				return "", fmt.Errorf("read the cleaner's checkpoint: %w", err)
			}
			reached[line[:i]] = offset
		}
	}
	for partition, offset := range targets {
		if reached[partition] < offset {
			return fmt.Sprintf("partition %q is compacted up to offset %d of %d", partition, reached[partition], offset), nil
		}
	}
	return "", nil
}

// appendMarkers aborts a transaction that the partitions are part of and that
// has no records.
func (k *Kafka) appendMarkers(ctx context.Context, topic string, partitions []int32) error {
	// Newer clients do not name partitions; their first record does.
	cl, err := k.client(kgo.MaxVersions(kversion.V3_5_0()))
	if err != nil {
		return err
	}
	defer cl.Close()
	id := "kafkatest-marker-" + topic
	producer, epoch, err := initProducer(ctx, cl, id)
	if err != nil {
		return err
	}
	add := kmsg.NewPtrAddPartitionsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch = id, producer, epoch
	add.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: topic, Partitions: partitions}}
	added, err := add.RequestWith(ctx, cl)
	if err != nil {
		return err
	}
	for _, t := range added.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return err
			}
		}
	}
	end := kmsg.NewPtrEndTxnRequest()
	end.TransactionalID, end.ProducerID, end.ProducerEpoch = id, producer, epoch
	ended, err := end.RequestWith(ctx, cl)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(ended.ErrorCode)
}
