// Package traffic writes payments to Kafka, and tells the judge of each that was acknowledged.
//
// What it guarantees:
//
//   - Every payment has an id of its own. It is written once: the client repeats what had no answer under
//     the same sequence number, and Kafka drops what it has already.
//   - The judge is told of a record's offset when all in-sync replicas have it, of a transaction's when
//     the transaction has ended, and of what has failed as well.
package traffic

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"paystream/chaos/judge"
)

// Traffic is a writer of payments.
type Traffic struct {
	topic  string
	client []kgo.Opt
	judge  *judge.Judge

	rate         atomic.Int64 // payments a second
	bad          atomic.Bool
	transactions atomic.Bool
	sent, failed atomic.Int64
	last         []atomic.Int64 // by partition: when the latest was acknowledged, Unix nanoseconds

	rest, resume       chan struct{}
	rested             chan error
	payments, together *records // of which the latter are written in transactions
}

// Config says what to write.
type Config struct {
	Topic  string
	Client []kgo.Opt
	Judge  *judge.Judge
	Rate   int // payments a second
}

// mostPartitions is how many partitions a topic may come to have.
const mostPartitions = 64

// New returns a traffic of good payments alone.
func New(cfg Config) *Traffic {
	t := &Traffic{
		topic: cfg.Topic, client: cfg.Client, judge: cfg.Judge, last: make([]atomic.Int64, mostPartitions),
		rest: make(chan struct{}), resume: make(chan struct{}), rested: make(chan error),
		payments: newRecords("pay"), together: newRecords("tx"),
	}
	t.Rate(cfg.Rate)
	return t
}

// Bad switches bad records and tombstones on or off: one of a hundred records.
func (t *Traffic) Bad(on bool) { t.bad.Store(on) }

// Transactions switches on or off that a part of the payments is written in transactions, of which
// every other is aborted.
func (t *Traffic) Transactions(on bool) { t.transactions.Store(on) }

// Rate sets how many payments a second are written.
func (t *Traffic) Rate(perSecond int) { t.rate.Store(int64(perSecond)) }

// Rest stops writing, and returns when everything has been acknowledged or has failed and the clients are
// closed: those that Resume opens know nothing of the topic that was.
func (t *Traffic) Rest(ctx context.Context) error {
	select {
	case t.rest <- struct{}{}:
		return <-t.rested
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Resume ends a rest.
func (t *Traffic) Resume() { t.resume <- struct{}{} }

// Failed is how many records were given up.
func (t *Traffic) Failed() int64 { return t.failed.Load() }

// LastAcknowledged is when the latest record of a partition was, zero where none was.
func (t *Traffic) LastAcknowledged(partition int32) time.Time {
	if n := t.last[partition].Load(); n > 0 {
		return time.Unix(0, n)
	}
	return time.Time{}
}

// Run writes until ctx is done, and returns when everything has been acknowledged or has failed.
func (t *Traffic) Run(ctx context.Context) error {
	for {
		writing, stop := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() { ended <- t.session(writing) }()
		select {
		case err := <-ended:
			stop()
			return err
		case <-t.rest:
			stop()
			err := <-ended
			t.rested <- err
			if err != nil {
				return err
			}
		}
		select {
		case <-t.resume:
		case <-ctx.Done():
			return nil
		}
	}
}

// session writes with clients of its own.
func (t *Traffic) session(ctx context.Context) error {
	var g errgroup.Group
	g.Go(func() error { return t.write(ctx) })
	g.Go(func() error { return t.transact(ctx) })
	return g.Wait()
}

// step is how often records that are due are written.
const step = 5 * time.Millisecond

// flushPatience is how long the end waits for acknowledgements.
const flushPatience = time.Minute

func (t *Traffic) write(ctx context.Context) error {
	client, err := t.open()
	if err != nil {
		return err
	}
	defer client.Close()
	begin, tick := time.Now(), time.NewTicker(step)
	defer tick.Stop()
	for n, rate := 0, t.rate.Load(); ; {
		select {
		case <-ctx.Done():
			flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushPatience)
			defer cancel()
			if err := client.Flush(flush); err != nil {
				return fmt.Errorf("flush: %w", err)
			}
			return nil
		case <-tick.C:
		}
		due := int(time.Since(begin).Seconds()*float64(rate)) - n
		// What was due while Kafka took nothing is not made up for.
		if now := t.rate.Load(); now != rate || due > 2*int(rate) {
			begin, n, rate = time.Now(), 0, now
			continue
		}
		for range due {
			t.produce(client, t.payments.next(t.bad.Load())) //nolint:contextcheck // see there
			n++
		}
	}
}

// produce blocks only when the client holds as much as it may.
func (t *Traffic) produce(client *kgo.Client, r *Record) {
	// A record that is canceled may be there or not: it is never canceled.
	client.Produce(context.Background(), t.kafka(r), func(k *kgo.Record, err error) {
		if err != nil {
			t.failed.Add(1)
			t.judge.Stray(judge.Uncertain, r.Print)
			return
		}
		t.last[k.Partition].Store(time.Now().UnixNano())
		t.judge.Acknowledged(k.Partition, k.Offset, r.Kind, r.Print)
	})
	t.sent.Add(1)
}

func (t *Traffic) kafka(r *Record) *kgo.Record {
	return &kgo.Record{Topic: t.topic, Key: r.Key, Value: r.Value, Headers: r.Headers}
}

func (t *Traffic) open(more ...kgo.Opt) (*kgo.Client, error) {
	client, err := kgo.NewClient(append(append([]kgo.Opt{
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(5 * time.Millisecond),
		kgo.ProduceRequestTimeout(5 * time.Second),
		kgo.ProducerBatchMaxBytes(1 << 20),
	}, t.client...), more...)...)
	if err != nil {
		return nil, fmt.Errorf("make a producer: %w", err)
	}
	return client, nil
}
