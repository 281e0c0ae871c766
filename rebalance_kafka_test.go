//go:build kafka

package main

import (
	"context"
	"errors"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	paymentpb "paystream/gen/payment"
	"paystream/internal/clienttest"
	"paystream/internal/kafkatest"
)

// TestRebalancesPauseNoStream has two gateways stream the same payments, of which one goes through rebalances and the
// other through none. Neither keeps payments back for longer than the other.
func TestRebalancesPauseNoStream(t *testing.T) {
	k := kafkatest.Shared(t)
	topic := kafkatest.TopicName(t)
	k.CreateTopic(t, topic, 3, nil)
	shaken := startProcess(t, kafkaEnv(k, topic)...)
	calm := startProcess(t, append(kafkaEnv(k, topic), "KAFKA_GROUP_ID=calm-group-of-"+topic)...)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var watches [2]*watch
	for at, i := range []*instance{shaken, calm} {
		i.awaitReady(t)
		watches[at] = newWatch(ctx, t, i)
	}
	stop := produceSteadily(t, k, topic)
	n := rebalances
	if more, err := strconv.Atoi(os.Getenv("PAYSTREAM_TEST_REBALANCES")); err == nil {
		n = more
	}
	seen := func() float64 { return shaken.metric(t, "paystream_rebalances_total") }
	soon(t, "both own their partitions", func() error {
		for _, i := range []*instance{shaken, calm} {
			if i.metric(t, "paystream_rebalances_total") < 1 {
				return errors.New("not yet")
			}
		}
		return nil
	})
	before, quietly := seen(), calm.metric(t, "paystream_rebalances_total")
	rebalance(t, k, topic, n, seen)
	done := seen() - before
	if others := calm.metric(t, "paystream_rebalances_total") - quietly; others != 0 || done < float64(n) {
		t.Errorf("%v rebalances, want %d, and %v where there should be none", done, n, others)
	}
	stop()
	cancel()
	one, other := watches[0].end(), watches[1].end()
	t.Logf("%d payments; from Kafka to the subscriber at p99.9: %v during %v rebalances, %v without; at most %v and %v",
		len(watches[0].ages), one, done, other, slices.Max(watches[0].ages), slices.Max(watches[1].ages))
	if len(watches[0].ages) < 1000 {
		t.Errorf("%d payments: this shows little", len(watches[0].ages))
	}
	if one > other+other/2+50*time.Millisecond { // two processes that share two cores are not one
		t.Errorf("one payment in 1,000 was kept back for %v during rebalances, for %v without", one, other)
	}
}

// produceSteadily writes three payments every few milliseconds until it is stopped.
func produceSteadily(t *testing.T, k *kafkatest.Kafka, topic string) (stop func()) {
	t.Helper()
	producer, done, stopped := k.Producer(t), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for next := make([]int64, 3); ; time.Sleep(5 * time.Millisecond) {
			select {
			case <-done:
				return
			default:
				producer.Produce(t, topic, placed(next, 1)...)
			}
		}
	}()
	return func() {
		close(done)
		<-stopped
	}
}

// watch is a subscriber that checks the order of all payments, and measures how old each is when it
// comes.
type watch struct {
	t     *testing.T
	next  []int64
	ages  []time.Duration
	ended chan struct{}
}

func newWatch(ctx context.Context, t *testing.T, i *instance) *watch {
	t.Helper()
	client := clienttest.DialGRPC(i.address)
	s, err := client.Open(ctx, &paymentpb.StreamPaymentsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	w := &watch{t: t, next: make([]int64, 3), ended: make(chan struct{})}
	go func() {
		defer close(w.ended)
		defer client.Close()
		defer s.Close()
		for {
			event, err := s.Next()
			if err != nil {
				if ctx.Err() == nil {
					t.Errorf("the stream ended: %v", err)
				}
				return
			}
			w.take(event)
		}
	}()
	return w
}

func (w *watch) take(e *paymentpb.PaymentEvent) {
	if next := w.next[e.GetPartition()]; next != e.GetOffset() {
		w.t.Errorf("partition %d: offset %d, want %d", e.GetPartition(), e.GetOffset(), next)
	}
	w.next[e.GetPartition()]++
	w.ages = append(w.ages, time.Since(time.UnixMilli(e.GetPublishedAt())))
}

// end returns the age that one payment in 1,000 had.
func (w *watch) end() time.Duration {
	<-w.ended
	slices.Sort(w.ages)
	return w.ages[len(w.ages)*999/1000]
}

// rebalance has a member of the topic's group call for n rebalances, one when the one before is over.
func rebalance(t *testing.T, k *kafkatest.Kafka, topic string, n int, seen func() float64) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(k.Plaintext()), kgo.ConsumerGroup("group-of-"+topic), kgo.ConsumeTopics(topic),
		kgo.Balancers(kgo.RangeBalancer()), kgo.DisableAutoCommit(), kgo.HeartbeatInterval(200*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	start := seen()
	for before := start; before < start+float64(n); before = seen() {
		cl.ForceRebalance() // the first waits for the member to have joined
		soon(t, "the gateway is in a rebalance", func() error {
			if seen() == before {
				return errors.New("it is not")
			}
			return nil
		})
	}
}
