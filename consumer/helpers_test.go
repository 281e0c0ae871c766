package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"paystream/broadcast"
	"paystream/consumer"
	"paystream/gen/payment"
	"paystream/internal/kafkaconn"
)

const topic = "payments.raw"

// patience is how long tests wait for what must happen.
const patience = 15 * time.Second

// newCluster starts a broker with a topic of so many partitions; 0 is no topic.
func newCluster(t *testing.T, partitions int32, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	opts = append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)
	if partitions > 0 {
		opts = append(opts, kfake.SeedTopics(partitions, topic))
	}
	c, err := kfake.NewCluster(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// producer writes to the topic, to partitions of the test's choice.
type producer struct {
	t  testing.TB
	cl *kgo.Client
}

func newProducer(t testing.TB, brokers []string, opts ...kgo.Opt) *producer {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(brokers...),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.DefaultProduceTopic(topic),
		kgo.MetadataMinAge(10 * time.Millisecond),
		kgo.UnknownTopicRetries(100),
		kgo.ProducerBatchMaxBytes(4 << 20),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return &producer{t: t, cl: cl}
}

func (p *producer) send(records ...*kgo.Record) {
	p.t.Helper()
	if err := p.cl.ProduceSync(p.t.Context(), records...).FirstErr(); err != nil {
		p.t.Fatal(err)
	}
}

// pay sends good payments of these ids to a partition, in one batch.
func (p *producer) pay(partition int32, ids ...string) {
	p.t.Helper()
	p.send(pay(partition, ids...)...)
}

func pay(partition int32, ids ...string) []*kgo.Record {
	var list []*kgo.Record
	for _, id := range ids {
		list = append(list, record(partition, id, payment(id)))
	}
	return list
}

func record(partition int32, key, value string) *kgo.Record {
	return &kgo.Record{Partition: partition, Key: []byte(key), Value: []byte(value)}
}

func payment(id string) string {
	return fmt.Sprintf(`{"id":%q,"provider":"stripe","amount":5000,"currency":"usd","status":"paid"}`, id)
}

// many returns n ids.
func many(prefix string, n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = prefix + strconv.Itoa(i)
	}
	return ids
}

// gateway is a consumer, its log, and all that was ever appended to it.
type gateway struct {
	*consumer.Consumer
	t    testing.TB
	log  *broadcast.Log
	sub  *broadcast.Subscription
	got  []entry
	gaps []broadcast.Gap // that the log told of
	logs *logs
	stop func()
	// ends waits until Run ends by itself, with such an error.
	ends  func(want error)
	ended error // Run's
}

// entry is a payment as it was appended.
type entry struct {
	partition int32
	offset    int64
	id        string
}

func (e entry) String() string { return fmt.Sprintf("%d@%d:%s", e.partition, e.offset, e.id) }

type option func(*consumer.Config)

func uncommitted(c *consumer.Config) { c.ReadUncommitted = true }

// start runs a consumer until the test ends or stops it.
func start(t testing.TB, brokers []string, opts ...option) *gateway {
	t.Helper()
	g := &gateway{t: t, log: broadcast.New(broadcast.Limits{}), logs: &logs{}}
	cfg := consumer.Config{
		Kafka:  kafkaconn.Config{Brokers: brokers, ClientID: "test"},
		Topic:  topic,
		Logger: slog.New(slog.NewTextHandler(g.logs, nil)),
	}
	for _, opt := range opts {
		opt(&cfg)
	}
	var err error
	if g.sub, err = g.log.Subscribe(view, view, broadcast.Start{}); err != nil {
		t.Fatal(err)
	}
	if g.Consumer, err = consumer.New(cfg, g.log); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.ended = g.Run(ctx)
	}()
	want := error(nil)
	g.ends = func(err error) {
		t.Helper()
		want = err
		select {
		case <-done:
		case <-time.After(patience):
			t.Error("Run does not end by itself")
		}
	}
	g.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case <-done:
			if fmt.Sprint(g.ended) != fmt.Sprint(want) {
				t.Errorf("Run: %v, want %v", g.ended, want)
			}
		case <-time.After(patience):
			t.Error("Run does not return")
		}
		if t.Failed() {
			t.Logf("the log of the consumer:\n%s", g.logs)
		}
	})
	t.Cleanup(g.stop)
	return g
}

// ready waits until the consumer is.
func (g *gateway) ready() {
	g.t.Helper()
	g.until("readiness", func() bool { return g.Status().Ready })
}

// until waits for a condition.
func (g *gateway) until(what string, ok func() bool) {
	g.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			g.t.Fatalf("no %s in time; status: %+v", what, g.Status())
		}
	}
}

// expect waits until so many payments have been appended, and returns all.
func (g *gateway) expect(n int) []entry {
	g.t.Helper()
	g.until(fmt.Sprintf("%d payments (%d)", n, len(g.got)), func() bool { g.collect(); return len(g.got) >= n })
	if len(g.got) > n {
		g.t.Fatalf("%d payments instead of %d", len(g.got), n)
	}
	return g.got
}

func (g *gateway) collect() {
	g.t.Helper()
	for {
		run, err := g.sub.Next()
		if gap, ok := errors.AsType[*broadcast.GapError](err); ok {
			g.gaps = append(g.gaps, gap.Gaps...)
			continue
		}
		if err != nil {
			g.t.Fatal(err)
		}
		if run.Len() == 0 {
			return
		}
		g.got = append(g.got, entries(run)...)
	}
}

// entries are what a run of view's frames holds.
func entries(run broadcast.Run) []entry {
	var list []entry
	for frame := range run.Frames() {
		part := strings.SplitN(string(frame), " ", 3)
		p, _ := strconv.Atoi(part[0])
		offset, _ := strconv.ParseInt(part[1], 10, 64)
		list = append(list, entry{int32(p), offset, part[2]})
	}
	return list
}

// view has frames that entries reads.
var view = broadcast.NewView(func(dst []byte, e broadcast.Entry, _ broadcast.Vector) []byte {
	return fmt.Appendf(dst, "%d %d %s", e.Partition, e.Offset, e.Key)
})

// next waits until a partition has been read up to an offset.
func (g *gateway) next(partition int32, offset int64) {
	g.t.Helper()
	g.until(fmt.Sprintf("offset %d of partition %d", offset, partition), func() bool {
		s := g.Status()
		return int(partition) < len(s.Partitions) && s.Partitions[partition].Next == offset &&
			g.log.Newest().At(partition) == offset
	})
}

// value returns a retained payment.
func (g *gateway) value(id string) *paymentpb.Payment {
	g.t.Helper()
	e, ok := g.log.Get(id)
	if !ok {
		g.t.Fatalf("payment %s is not retained", id)
	}
	var p paymentpb.Payment
	if err := proto.Unmarshal([]byte(e.Value), &p); err != nil {
		g.t.Fatal(err)
	}
	return &p
}

func ids(entries []entry) []string {
	var list []string
	for _, e := range entries {
		list = append(list, e.id)
	}
	return list
}

// ofPartition returns the ids of one partition, in order, and checks that its
// offsets rise.
func ofPartition(t testing.TB, entries []entry, partition int32) []string {
	t.Helper()
	var list []string
	last := int64(-1)
	for _, e := range entries {
		if e.partition != partition {
			continue
		}
		if e.offset <= last {
			t.Fatalf("offset %d of partition %d comes after %d", e.offset, partition, last)
		}
		last = e.offset
		list = append(list, e.id)
	}
	return list
}

// logs is what a consumer has logged.
type logs struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// count returns how many lines hold all the parts.
func (l *logs) count(parts ...string) int {
	n := 0
	for line := range strings.Lines(l.String()) {
		if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(line, part) }) {
			n++
		}
	}
	return n
}

// kfakePort makes a broker listen where another one did.
func kfakePort(t testing.TB, addr string) kfake.Opt {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return kfake.Ports(n)
}
