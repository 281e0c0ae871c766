package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

var (
	topicNames   atomic.Int64
	notTopicName = regexp.MustCompile(`[^a-zA-Z0-9._-]+`)
)

// TopicName makes up a topic's name that says which test it is of and that no
// other test of this process has.
func TopicName(t testing.TB) string {
	t.Helper()
	name := notTopicName.ReplaceAllString(t.Name(), "-")
	return fmt.Sprintf("%.200s-%d", name, topicNames.Add(1)) // Kafka takes 249 bytes
}

// CreateTopic creates a topic and returns when each partition has a leader.
func (k *Kafka) CreateTopic(t testing.TB, name string, partitions int, configs map[string]string) {
	t.Helper()
	values := make(map[string]*string, len(configs))
	for key, value := range configs {
		values[key] = &value
	}
	k.admin(t, "create topic "+name, func(ctx context.Context, adm *kadm.Client) error {
		if _, err := adm.CreateTopic(ctx, int32(partitions), 1, values, name); err != nil {
			return err
		}
		return awaitPartitions(ctx, adm, name, partitions)
	})
}

// AddPartitions adds partitions to a topic and returns when each has a leader.
func (k *Kafka) AddPartitions(t testing.TB, topic string, add int) {
	t.Helper()
	k.admin(t, "add partitions to "+topic, func(ctx context.Context, adm *kadm.Client) error {
		offsets, err := adm.ListEndOffsets(ctx, topic)
		if err := errors.Join(err, offsets.Error()); err != nil {
			return err
		}
		total := len(offsets[topic]) + add
		resp, err := adm.UpdatePartitions(ctx, total, topic)
		if err := errors.Join(err, resp.Error()); err != nil {
			return err
		}
		return awaitPartitions(ctx, adm, topic, total)
	})
}

// DeleteTopic deletes a topic and returns when it is gone, so that it may be
// created anew by the same name.
func (k *Kafka) DeleteTopic(t testing.TB, topic string) {
	t.Helper()
	k.admin(t, "delete topic "+topic, func(ctx context.Context, adm *kadm.Client) error {
		if _, err := adm.DeleteTopic(ctx, topic); err != nil {
			return err
		}
		return poll(ctx, func() (bool, error) {
			topics, err := adm.ListTopics(ctx, topic)
			return errors.Is(topics[topic].Err, kerr.UnknownTopicOrPartition), err
		})
	})
}

// DeleteRecords deletes a partition's records before the offset, which becomes
// the start of its log.
func (k *Kafka) DeleteRecords(t testing.TB, topic string, partition int32, before int64) {
	t.Helper()
	k.admin(t, "delete records of "+topic, func(ctx context.Context, adm *kadm.Client) error {
		var offsets kadm.Offsets
		offsets.AddOffset(topic, partition, before, -1)
		resp, err := adm.DeleteRecords(ctx, offsets)
		return errors.Join(err, resp.Error())
	})
}

// LogStart is the offset of the first record that a partition still has, or may
// have: compaction leaves holes.
func (k *Kafka) LogStart(t testing.TB, topic string, partition int32) int64 {
	t.Helper()
	return k.offset(t, topic, partition, (*kadm.Client).ListStartOffsets)
}

// LastStable is the offset up to which a read_committed consumer may read: that
// of the first record of the earliest open transaction, or else [Kafka.LogEnd].
func (k *Kafka) LastStable(t testing.TB, topic string, partition int32) int64 {
	t.Helper()
	return k.offset(t, topic, partition, (*kadm.Client).ListCommittedOffsets)
}

// LogEnd is the offset that a partition's next record will have.
func (k *Kafka) LogEnd(t testing.TB, topic string, partition int32) int64 {
	t.Helper()
	return k.offset(t, topic, partition, (*kadm.Client).ListEndOffsets)
}

// listOffsets is one of kadm's methods List...Offsets.
type listOffsets func(*kadm.Client, context.Context, ...string) (kadm.ListedOffsets, error)

func (k *Kafka) offset(t testing.TB, topic string, partition int32, list listOffsets) int64 {
	t.Helper()
	var offset int64
	k.admin(t, "list offsets of "+topic, func(ctx context.Context, adm *kadm.Client) error {
		offsets, err := list(adm, ctx, topic)
		if err != nil {
			return err
		}
		listed, ok := offsets.Lookup(topic, partition)
		if !ok {
			return fmt.Errorf("there is no partition %d", partition)
		}
		offset = listed.Offset
		return listed.Err
	})
	return offset
}

// admin calls do with a client, and fails the test if do fails.
func (k *Kafka) admin(t testing.TB, what string, do func(context.Context, *kadm.Client) error) {
	t.Helper()
	cl, err := k.client()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	defer cl.Close()
	ctx, cancel := helperContext(t)
	defer cancel()
	if err := do(ctx, kadm.NewClient(cl)); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// helperContext bounds one call of a helper, also of one called from t.Cleanup,
// when the test's own context has ended.
func helperContext(t testing.TB) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithTimeout(context.WithoutCancel(t.Context()), helperTimeout)
}

// awaitPartitions waits until all partitions of a topic answer: what the
// controller has done, the broker hears of a moment later.
func awaitPartitions(ctx context.Context, adm *kadm.Client, topic string, n int) error {
	return poll(ctx, func() (bool, error) {
		offsets, err := adm.ListEndOffsets(ctx, topic)
		return len(offsets[topic]) == n && offsets.Error() == nil, err
	})
}

// poll calls done until it says so, fails, or ctx ends.
func poll(ctx context.Context, done func() (bool, error)) error {
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}
