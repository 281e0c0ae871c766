package inprocess

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
	"golang.org/x/sync/errgroup"

	"paystream/broadcast"
	"paystream/consumer"
	"paystream/internal/kafkaconn"
)

// timeout is how long a pass may take.
const timeout = time.Minute

// retained is how many payments the log keeps, as a gateway's does.
const retained = 100_000

// consume reads a topic into a log as a gateway does: fetched, decoded, encoded, appended.
func consume(w Work) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	log := broadcast.New(broadcast.Limits{Records: retained})
	reader, err := consumer.New(consumer.Config{
		Kafka: kafkaconn.Config{Brokers: []string{w.Brokers}}, Topic: w.Topic.Name, MaxRecordBytes: 1 << 20,
	}, log)
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- reader.Run(running) }()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !reader.Status().Ready {
		select {
		case <-tick.C:
		case err := <-ended:
			stop()
			return fmt.Errorf("the consumer has ended: %w", err)
		case <-ctx.Done():
			stop()
			return errors.Join(ctx.Err(), <-ended, errors.New(reader.Status().Reason))
		}
	}
	stop()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	total := int64(0)
	for _, next := range log.Newest() {
		total += next
	}
	if total != int64(w.Records) || log.Stats().Records != min(w.Records, retained) {
		return fmt.Errorf("the log has come to %d records and keeps %d, there are %d", total, log.Stats().Records, w.Records)
	}
	return nil
}

// count reads a topic with kafka-go's own reader, one for each partition, and only counts.
func count(w Work) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	for p := range w.Topic.Partitions {
		g.Go(func() error {
			reader := kafka.NewReader(kafka.ReaderConfig{
				Brokers: []string{w.Brokers}, Topic: w.Topic.Name, Partition: p,
				MinBytes: 1, MaxBytes: 10e6, MaxWait: 500 * time.Millisecond,
			})
			defer reader.Close()
			for range w.in(p) {
				if _, err := reader.FetchMessage(ctx); err != nil {
					return fmt.Errorf("read partition %d: %w", p, err)
				}
			}
			return nil
		})
	}
	return g.Wait()
}
