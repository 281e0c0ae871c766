package inprocess

import (
	"context"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
	"golang.org/x/sync/errgroup"
)

// listen reads a topic as its records come, with kafka-go's own reader, and returns when each came, in
// Unix nanoseconds, by the payment's number.
func listen(w Work) ([]int64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	came := make([]int64, w.Records)
	g, ctx := errgroup.WithContext(ctx)
	for p := range w.Topic.Partitions {
		g.Go(func() error {
			reader := kafka.NewReader(kafka.ReaderConfig{
				Brokers: []string{w.Brokers}, Topic: w.Topic.Name, Partition: p,
				MinBytes: 1, MaxBytes: 10e6, MaxWait: 500 * time.Millisecond,
			})
			defer reader.Close()
			for range w.in(p) {
				m, err := reader.FetchMessage(ctx)
				if err != nil {
					return fmt.Errorf("read partition %d: %w", p, err)
				}
				if i := w.Topic.Number(int32(p), m.Offset); i < len(came) {
					came[i] = time.Now().UnixNano()
				}
			}
			return nil
		})
	}
	return came, g.Wait()
}

// in is how many of the records are in a partition.
func (w Work) in(partition int) int {
	return (w.Records - partition + w.Topic.Partitions - 1) / w.Topic.Partitions
}
