package kafkatest

import (
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Producer writes to the broker. A transactional one ([Kafka.Transactional])
// writes within transactions that the test begins and ends; of several, the
// transactions may overlap. A producer is used by one goroutine at a time.
type Producer struct {
	client *kgo.Client
	id     string       // transactional
	queued *queuedCount // records that wait in a batch to be flushed
}

// Producer returns a producer that is closed when the test ends. It does not
// compress; for that, and all else that kgo can do, there are the options:
//
//	k.Producer(t, kgo.ProducerBatchCompression(kgo.ZstdCompression()))
func (k *Kafka) Producer(t testing.TB, opts ...kgo.Opt) *Producer {
	t.Helper()
	queued := &queuedCount{}
	client, err := k.client(append([]kgo.Opt{
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		// What one call writes to a partition is one batch, if it fits.
		kgo.ManualFlushing(),
		kgo.MaxBufferedRecords(1 << 20),
		kgo.WithHooks(queued),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &Producer{client: client, queued: queued}
}

// Transactional returns a producer with a transactional id, which ends what an
// earlier producer of that id left open. To leave a transaction open for good,
// just do not end it: the broker aborts it after kgo.TransactionTimeout, 40
// seconds unless the options say otherwise.
func (k *Kafka) Transactional(t testing.TB, id string, opts ...kgo.Opt) *Producer {
	t.Helper()
	p := k.Producer(t, append([]kgo.Opt{kgo.TransactionalID(id)}, opts...)...)
	p.id = id
	return p
}

// Produce writes records to a topic with a producer of its own; see
// [Producer.Produce].
func (k *Kafka) Produce(t testing.TB, topic string, records ...*kgo.Record) {
	t.Helper()
	p := k.Producer(t)
	defer p.Close()
	p.Produce(t, topic, records...)
}

// Produce writes records to the topic, each to the partition that its Partition
// names (0 if it names none), and returns when the broker has them all. The
// records of one call and partition are one batch, unless they exceed its limit
// (1 MB). On return each record carries its Topic, Offset and Timestamp.
func (p *Producer) Produce(t testing.TB, topic string, records ...*kgo.Record) {
	t.Helper()
	ctx, cancel := helperContext(t)
	defer cancel()
	p.queued.Store(0)
	results := make(chan error, len(records))
	for _, record := range records {
		record.Topic = topic
		p.client.Produce(ctx, record, func(_ *kgo.Record, err error) { results <- err })
	}
	// Until the client knows the topic, records wait outside of batches; were
	// they flushed from there, a batch would end wherever the flush met them.
	err := poll(ctx, func() (bool, error) {
		return int(p.queued.Load())+len(results) >= len(records), nil
	})
	if err == nil {
		err = p.client.Flush(ctx)
	}
	for i := 0; i < len(records) && err == nil; i++ {
		err = <-results
	}
	if err != nil {
		t.Fatalf("produce to %s: %v", topic, err)
	}
}

// Begin opens a transaction. The broker knows of it from its first record on.
func (p *Producer) Begin(t testing.TB) {
	t.Helper()
	if err := p.client.BeginTransaction(); err != nil {
		t.Fatalf("begin transaction: %v", err)
	}
}

// Commit ends the transaction, and returns when its marker stands in each of
// its partitions.
func (p *Producer) Commit(t testing.TB) {
	t.Helper()
	p.end(t, kgo.TryCommit)
}

// Abort ends the transaction as one that never happened, and returns when its
// marker stands in each of its partitions.
func (p *Producer) Abort(t testing.TB) {
	t.Helper()
	p.end(t, kgo.TryAbort)
}

func (p *Producer) end(t testing.TB, commit kgo.TransactionEndTry) {
	t.Helper()
	ctx, cancel := helperContext(t)
	defer cancel()
	if err := p.client.EndTransaction(ctx, commit); err != nil {
		t.Fatalf("end transaction: %v", err)
	}
	// The coordinator answers when it has decided, and writes the markers after.
	err := poll(ctx, func() (bool, error) {
		described, err := kadm.NewClient(p.client).DescribeTransactions(ctx, p.id)
		state := described[p.id].State
		return state != "PrepareCommit" && state != "PrepareAbort", err
	})
	if err != nil {
		t.Fatalf("wait for the transaction's markers: %v", err)
	}
}

// Close ends the producer's connections before the test's end does. An open
// transaction stays open.
func (p *Producer) Close() { p.client.Close() }

type queuedCount struct{ atomic.Int64 }

// OnProduceRecordPartitioned implements kgo.HookProduceRecordPartitioned.
func (c *queuedCount) OnProduceRecordPartitioned(*kgo.Record, int32) { c.Add(1) }
