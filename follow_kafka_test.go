//go:build kafka

package main

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	paymentpb "paystream/gen/payment"
	"paystream/internal/clienttest"
	"paystream/internal/kafkatest"
)

// placed returns n payments for each partition, the next ones behind next, which it moves on. Each
// payment's id names the partition and offset that it will have, where nothing else is written.
func placed(next []int64, n int) []*kgo.Record {
	records := make([]*kgo.Record, 0, n*len(next))
	for range n {
		for p := range next {
			id := placedID(nil, int32(p), next[p])
			records = append(records, paid(int32(p), string(id)))
			next[p]++
		}
	}
	return records
}

func placedID(b []byte, partition int32, offset int64) []byte {
	b = strconv.AppendInt(append(b, "pay-"...), int64(partition), 10)
	b = strconv.AppendInt(append(b, '-'), offset, 10)
	return append(b, '.') // so that none is the beginning of another
}

// paid returns a payment's record, of a size as they are. Others of the same id are told apart by
// their numbers.
func paid(partition int32, id string, number ...int) *kgo.Record {
	return &kgo.Record{Partition: partition, Key: []byte(id), Value: fmt.Appendf(nil,
		`{"id":%q,"provider":"stripe","amount":"19.99","currency":"usd","status":"paid","customer_email":"ana@example.com","metadata":{"number":"%v","description":%q}}`,
		id, number, description)}
}

const description = "Two tickets, return, second class, seats 61 and 62 in coach 7; to be sent by e-mail; no refund after departure"

// follower is one subscriber that checks what it is given: every offset of every partition from
// next on, each once and in order, each with the payment that belongs there.
type follower struct {
	name     string
	client   clienttest.Client
	stream   clienttest.Stream
	next     []int64
	existing int // how many came as existing
	id       []byte
}

// follow opens a stream of placed payments from the beginning of so many partitions.
func follow(ctx context.Context, p clienttest.Protocol, address string, partitions int, req *paymentpb.StreamPaymentsRequest) (*follower, error) {
	f := &follower{name: p.Name, client: p.Dial(address), next: make([]int64, partitions)}
	stream, err := f.client.Open(ctx, req)
	if err != nil {
		f.client.Close()
		return nil, fmt.Errorf("%s: open: %w", p.Name, err)
	}
	f.stream = stream
	return f, nil
}

// readTo reads until every partition has come to its end, and no further.
func (f *follower) readTo(ends []int64) error {
	left := int64(0)
	for p, end := range ends {
		left += end - f.next[p]
	}
	for ; left > 0; left-- {
		if err := f.take(); err != nil {
			return fmt.Errorf("%s, at %v of %v: %w", f.name, f.next, ends, err)
		}
	}
	return nil
}

func (f *follower) take() error {
	m, err := f.stream.NextMessage()
	if err != nil {
		return err
	}
	partition, offset, err := m.Place()
	if err != nil {
		return err
	}
	if int(partition) >= len(f.next) || offset != f.next[partition] {
		return fmt.Errorf("partition %d, offset %d is not what comes next", partition, offset)
	}
	f.next[partition]++
	if f.id = placedID(f.id[:0], partition, offset); !bytes.Contains(m, f.id) {
		return fmt.Errorf("partition %d, offset %d is not the payment %s", partition, offset, f.id)
	}
	if bytes.Contains(m, []byte("existing")) {
		f.existing++
	}
	return nil
}

func (f *follower) close() {
	f.stream.Close()
	f.client.Close()
}

// crowd is subscribers that each read on their own.
type crowd struct {
	ctx     context.Context //nolint:containedctx // of all its streams
	address string
	ends    []int64 // where each of them is to come to
	members int
	opened  chan error
	done    chan arrival
}

// arrival is a subscriber at its end, or what went wrong.
type arrival struct {
	*follower
	err error
}

func newCrowd(t *testing.T, i *instance, ends []int64, timeout time.Duration) *crowd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	t.Cleanup(cancel)
	const most = 100
	return &crowd{ctx: ctx, address: i.address, ends: ends, opened: make(chan error, most), done: make(chan arrival, most)}
}

// join adds n subscribers, over all protocols in turn, and returns when their streams are open.
func (c *crowd) join(t *testing.T, n int) {
	t.Helper()
	c.joining(n)
	c.awaitOpened(t, n)
}

// joining adds n subscribers. They open their streams meanwhile.
func (c *crowd) joining(n int) {
	protocols := clienttest.Protocols()
	for range n {
		protocol := protocols[c.members%len(protocols)]
		c.members++
		go func() {
			f, err := follow(c.ctx, protocol, c.address, len(c.ends), &paymentpb.StreamPaymentsRequest{})
			c.opened <- err
			if err == nil {
				err = f.readTo(c.ends)
				f.close()
			}
			c.done <- arrival{f, err}
		}()
	}
}

func (c *crowd) awaitOpened(t *testing.T, n int) {
	t.Helper()
	for range n {
		if err := <-c.opened; err != nil {
			t.Fatal(err)
		}
	}
}

// awaitDone waits until all are at the end.
func (c *crowd) awaitDone(t *testing.T) []*follower {
	t.Helper()
	var all []*follower
	for range c.members {
		a := <-c.done
		if a.err != nil {
			t.Error(a.err)
		}
		all = append(all, a.follower)
	}
	if t.Failed() {
		t.FailNow()
	}
	return all
}

// kafkaEnv points a gateway to a topic over the listener without TLS and SASL, in a group of the topic's own: in a
// shared one it would wait for members of other tests that were killed.
func kafkaEnv(k *kafkatest.Kafka, topic string) []string {
	return []string{"KAFKA_BROKERS=" + k.Plaintext(), "KAFKA_TOPIC=" + topic, "KAFKA_GROUP_ID=group-of-" + topic}
}
