package server_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"paystream/broadcast"
	paymentpb "paystream/gen/payment"
	"paystream/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const topic = "payments.raw"

// gateway is a server on a free port, with a log that the test fills.
type gateway struct {
	*server.Server
	log     *broadcast.Log
	source  *source
	address string // host:port
	next    broadcast.Vector
	stop    func()
}

type settings struct {
	server.Config
	limits     broadcast.Limits
	partitions int
	topicID    byte
}

func start(t *testing.T, change ...func(*settings)) *gateway {
	t.Helper()
	set := settings{partitions: 3, Config: server.Config{
		Topic: topic, WriteTimeout: 10 * time.Second, DrainTimeout: 5 * time.Second,
		Logger: slog.New(slog.DiscardHandler),
	}}
	for _, f := range change {
		f(&set)
	}
	g := &gateway{log: broadcast.New(set.limits), source: &source{fingerprint: server.Fingerprint{set.topicID}}}
	for p := range set.partitions {
		g.log.Open(int32(p), 0)
	}
	g.next = make(broadcast.Vector, set.partitions)
	g.source.next = make(broadcast.Vector, set.partitions)
	g.Server = server.New(set.Config, g.log, g.source)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g.address = listener.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- g.Serve(ctx, listener) }()
	stopped := false
	g.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	}
	t.Cleanup(g.stop)
	return g
}

// sample returns a payment of the given id.
func sample(id string, provider paymentpb.Provider, status paymentpb.PaymentStatus) *paymentpb.Payment {
	return &paymentpb.Payment{
		Id: id, Provider: provider, Status: status, Amount: 50, AmountMinor: proto.Int64(5000), Currency: "USD",
		CustomerEmail: "ana@example.com", CreatedAt: 1_700_000_000, ProcessedAt: 1_700_000_001,
		Metadata: map[string]string{"order": "17", "note": "line\nbreak"},
	}
}

// publish appends payments to a partition, each at the next offset, as the consumer would.
func (g *gateway) publish(t testing.TB, partition int32, payments ...*paymentpb.Payment) {
	t.Helper()
	batch := broadcast.Batch{Partition: partition}
	for _, p := range payments {
		value, err := proto.MarshalOptions{Deterministic: true}.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		batch.Records = append(batch.Records, broadcast.Record{
			Key: p.GetId(), Value: string(value), Offset: g.next[partition], Time: 1_700_000_001_000 + g.next[partition],
			Label: broadcast.Label(p.GetProvider()<<3) | broadcast.Label(p.GetStatus()),
		})
		g.next[partition]++
	}
	batch.Next = g.next[partition]
	g.source.add(batch)
	g.log.Append(batch)
}

// publishIDs publishes completed payments of Stripe.
func (g *gateway) publishIDs(t testing.TB, partition int32, ids ...string) {
	t.Helper()
	for _, id := range ids {
		g.publish(t, partition, sample(id, paymentpb.Provider_PROVIDER_STRIPE, paymentpb.PaymentStatus_STATUS_COMPLETED))
	}
}

func ids(prefix string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%s-%d", prefix, i)
	}
	return all
}

// eventually waits for what another goroutine brings about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in 10 s: %s", what)
		}
	}
}
