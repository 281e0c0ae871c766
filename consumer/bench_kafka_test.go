//go:build kafka

package consumer_test

import (
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kgo"

	"paystream/consumer"
	"paystream/internal/kafkatest"
)

// BenchmarkKafkaRefill reads a topic of 3 partitions into a log, decoding and
// all, and tells how many records that is for each second of this process's CPU
// time; and, to compare, reads it with kafka.Reader and only counts.
func BenchmarkKafkaRefill(b *testing.B) {
	const records = 300_000
	k := kafkatest.Shared(b)
	topic := kafkatest.TopicName(b)
	k.CreateTopic(b, topic, 3, nil)
	p := k.Producer(b)
	for i := range records / 10_000 {
		var batch []*kgo.Record
		for j := range 10_000 {
			n := i*10_000 + j
			batch = append(batch, pay(int32(n/100%3), fmt.Sprintf("pay_%08d", n))...)
		}
		p.Produce(b, topic, batch...)
	}
	p.Close()
	for reader, opt := range readers {
		b.Run(reader, func(b *testing.B) {
			var cpu time.Duration
			for b.Loop() {
				before := cpuTime(b)
				g := start(b, []string{k.Plaintext()}, opt, ofTopic(topic), func(c *consumer.Config) { c.RetainRecords = 0 })
				g.ready()
				cpu += cpuTime(b) - before
				if n := g.log.Stats().Records; n != records {
					b.Fatalf("%d records", n)
				}
				g.stop()
			}
			perCPU(b, records, cpu)
		})
	}
	b.Run("count", func(b *testing.B) {
		var cpu time.Duration
		for b.Loop() {
			before := cpuTime(b)
			count(b, k.Plaintext(), topic, 3, records/3)
			cpu += cpuTime(b) - before
		}
		perCPU(b, records, cpu)
	})
}

// count reads so many records of each partition with kafka.Reader.
func count(b *testing.B, broker, topic string, partitions, records int) {
	b.Helper()
	var wg sync.WaitGroup
	for partition := range partitions {
		wg.Go(func() {
			r := kafka.NewReader(kafka.ReaderConfig{
				Brokers: []string{broker}, Topic: topic, Partition: partition, MaxBytes: 10e6, MaxWait: 500 * time.Millisecond,
			})
			defer r.Close()
			for range records {
				if _, err := r.FetchMessage(b.Context()); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func perCPU(b *testing.B, records int, cpu time.Duration) {
	b.Helper()
	b.ReportMetric(float64(b.N)*float64(records)/cpu.Seconds(), "records/cpu-s")
	b.ReportMetric(0, "ns/op")
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
