//go:build kafka

package faulty_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"paystream/chaos/faulty"
	"paystream/chaos/gateway"
	"paystream/chaos/judge"
	"paystream/chaos/network"
	"paystream/chaos/subscriber"
	"paystream/chaos/traffic"
	"paystream/chaos/world"
	paymentpb "paystream/gen/payment"
	"paystream/internal/clienttest"
	"paystream/internal/kafkatest"
)

const (
	root       = "../.."
	many       = 100_000
	partitions = 2
	rate       = 20_000
	length     = 13 * time.Second
	patience   = 30 * time.Second
)

// TestTheJudgeFindsOneInAHundredThousand has subscribers of every protocol at a gateway that does wrong
// with one payment in a hundred thousand, and at one that does right.
func TestTheJudgeFindsOneInAHundredThousand(t *testing.T) {
	k := kafkatest.Start(t)
	right := filepath.Join(t.TempDir(), "paystream")
	if err := world.Build(t.Context(), root, right); err != nil {
		t.Fatal(err)
	}
	t.Run("right", func(t *testing.T) {
		if v := judged(t, k, right); !v.Clean() {
			t.Errorf("found %v in a gateway that does right: %v", v.Counts, v.Examples)
		}
	})
	want := map[faulty.Wrong][]judge.Fault{
		faulty.Drop:      {judge.Lost},
		faulty.Duplicate: {judge.Duplicate},
		faulty.Swap:      {judge.OutOfOrder, judge.Lost},
	}
	for _, wrong := range faulty.Wrongs() {
		t.Run(string(wrong), func(t *testing.T) {
			binary, err := faulty.Build(t.Context(), root, t.TempDir(), wrong, many)
			if err != nil {
				t.Fatal(err)
			}
			v := judged(t, k, binary)
			for _, fault := range want[wrong] {
				// Of each partition one, or one more, for each subscriber.
				least := int64(partitions * len(clienttest.Protocols()))
				if n := v.Counts[fault]; n < least || n > 2*least {
					t.Errorf("found %d that are %s, want %d to %d", n, fault, least, 2*least)
				}
				delete(v.Counts, fault)
			}
			if !v.Clean() {
				t.Errorf("found besides: %v", v.Counts)
			}
		})
	}
}

// judged is the verdict over a gateway that each protocol has a subscriber at.
func judged(t *testing.T, k *kafkatest.Kafka, binary string) judge.Verdict {
	t.Helper()
	topic := kafkatest.TopicName(t)
	k.CreateTopic(t, topic, partitions, nil)
	n := network.New()
	defer n.Close()
	g, err := gateway.Start(gateway.Config{
		Binary: binary, Dir: t.TempDir(), Network: n, Seeds: []string{k.Plaintext()},
		Env: []string{"KAFKA_TOPIC=" + topic, "AMOUNT_UNITS=minor", "RETAIN_PAYMENTS=1000000", "RETAIN_BYTES=1GiB"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { g.Process().Kill() }()
	ready, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := g.AwaitReady(ready); err != nil {
		t.Fatal(err)
	}
	j := judge.New()
	stop := subscribe(t, g, j)
	defer stop()
	writing, end := context.WithTimeout(t.Context(), length)
	defer end()
	traffic := traffic.New(traffic.Config{Topic: topic, Client: []kgo.Opt{kgo.SeedBrokers(k.Plaintext())}, Judge: j, Rate: rate})
	if err := traffic.Run(writing); err != nil {
		t.Fatal(err)
	}
	for begin, before := time.Now(), -1; time.Since(begin) < patience; time.Sleep(500 * time.Millisecond) {
		delivered := int(j.Figures().Delivered)
		if j.Waiting(nil) == 0 || delivered == before { // what is dropped does not come
			break
		}
		before = delivered
	}
	f := j.Figures()
	t.Logf("%d payments, %d deliveries", f.Payments, f.Delivered)
	if f.Payments < partitions*many {
		t.Errorf("only %d payments: this shows little", f.Payments)
	}
	return j.Verdict()
}

// subscribe starts a subscriber of each protocol. What it returns ends them.
func subscribe(t *testing.T, g *gateway.Gateway, j *judge.Judge) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	client := clienttest.DialGRPC(g.Clients.Address())
	defer client.Close()
	stream, err := client.Open(ctx, &paymentpb.StreamPaymentsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	done := make(chan struct{})
	protocols := clienttest.Protocols()
	for i, p := range protocols {
		s := subscriber.New(subscriber.Config{
			Name: p.Name, Protocol: p, Habit: subscriber.Steady, Gateways: []string{g.Clients.Address()},
			Cursor: stream.FirstCursor(), Seed: uint64(i), Judge: j,
		})
		go func() { s.Run(ctx); done <- struct{}{} }()
	}
	return func() {
		cancel()
		for range protocols {
			<-done
		}
	}
}
