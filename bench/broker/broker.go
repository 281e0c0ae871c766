// Package broker is a Kafka in a process of its own, embedded (kfake), that fills topics and feeds
// them at a pace.
//
// Payments are appended in the order of their numbers, each to the partition that its topic says,
// and are acknowledged when a call has returned.
package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"paystream/bench/process"
	"paystream/bench/sample"
)

// Run serves a parent's calls: address, create, fill, feed and remove. Brokers are those of a Kafka
// that runs already, if any: then none is started.
func Run(brokers []string, payments sample.Payments, in io.Reader, out io.Writer) error {
	if len(brokers) == 0 {
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.ClusterID("bench"))
		if err != nil {
			return fmt.Errorf("start the broker: %w", err)
		}
		defer cluster.Close()
		brokers = cluster.ListenAddrs()
	}
	b := &broker{payments: payments, address: brokers[0]}
	var err error
	b.client, err = kgo.NewClient(kgo.SeedBrokers(b.address), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(0), kgo.MaxBufferedRecords(1<<20))
	if err != nil {
		return fmt.Errorf("connect to the broker: %w", err)
	}
	defer b.client.Close()
	return process.Serve(in, out, process.Calls{
		"address": process.Handle(func(process.None) (string, error) { return b.address, nil }),
		"create":  process.Handle(b.create),
		"fill":    process.Handle(b.fill),
		"feed":    process.Handle(b.feed),
		"remove":  process.Handle(b.remove),
	})
}

type broker struct {
	payments sample.Payments
	address  string
	client   *kgo.Client
}

// callTimeout bounds what is asked of the broker beside feeding.
const callTimeout = time.Minute

func (b *broker) create(topic sample.Topic) (process.None, error) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	_, err := kadm.NewClient(b.client).CreateTopic(ctx, int32(topic.Partitions), 1, nil, topic.Name)
	return process.None{}, err
}

func (b *broker) remove(topic sample.Topic) (process.None, error) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	_, err := kadm.NewClient(b.client).DeleteTopic(ctx, topic.Name)
	return process.None{}, err
}

// fill appends payments as fast as they go, in large batches.
func (b *broker) fill(f sample.Feed) (process.None, error) {
	f.Every, f.Batch = 0, 10_000
	_, err := f.Batches(func(from, to int) error {
		ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
		defer cancel()
		return b.client.ProduceSync(ctx, b.records(f.Topic, from, to)...).FirstErr()
	})
	return process.None{}, err
}

// feed appends payments at the feed's pace and returns when each was handed to the client, which
// sends it off at once. It does not wait for one batch before the next is due.
func (b *broker) feed(f sample.Feed) ([]int64, error) {
	failed := make(chan error, 1)
	sent, err := f.Batches(func(from, to int) error {
		for _, r := range b.records(f.Topic, from, to) {
			b.client.Produce(context.Background(), r, func(_ *kgo.Record, err error) {
				if err != nil {
					select {
					case failed <- err:
					default:
					}
				}
			})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	if err := b.client.Flush(ctx); err != nil {
		return nil, fmt.Errorf("flush: %w", err)
	}
	select {
	case err := <-failed:
		return nil, fmt.Errorf("write a payment: %w", err)
	default:
		return sent, nil
	}
}

func (b *broker) records(t sample.Topic, from, to int) []*kgo.Record {
	if to > len(b.payments) {
		panic(errors.New("broker: more payments are asked for than there are"))
	}
	records := make([]*kgo.Record, 0, to-from)
	for i := from; i < to; i++ {
		records = append(records, &kgo.Record{
			Topic:     t.Name,
			Partition: t.Partition(i),
			Key:       []byte(b.payments[i].Key),
			Value:     b.payments[i].Value,
			Timestamp: time.UnixMilli(t.Millis(i)),
		})
	}
	return records
}
