package consumer_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paystream/consumer"
	"paystream/gen/payment"
	"paystream/internal/kafkaconn"
)

func emptyValue(t *testing.T, reader option) {
	c := newCluster(t, 1)
	p := newProducer(t, c.ListenAddrs())
	p.pay(0, "a")
	p.send(record(0, "a", ""))
	g := start(t, c.ListenAddrs(), reader)
	g.ready()
	g.next(0, 2)
	g.value("a")
	if n := g.Status().BadRecords; n != 1 {
		t.Errorf("%d bad records", n)
	}
}

func abortedTransactions(t *testing.T, reader option) {
	c := newCluster(t, 2)
	p := newProducer(t, c.ListenAddrs(), kgo.TransactionalID("test"))
	end := func(how kgo.TransactionEndTry, records ...*kgo.Record) {
		t.Helper()
		if err := p.cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		p.send(records...)
		if err := p.cl.EndTransaction(t.Context(), how); err != nil {
			t.Fatal(err)
		}
	}
	end(kgo.TryCommit, append(pay(0, "a"), pay(1, "b")...)...)
	end(kgo.TryAbort, append(pay(0, "x"), pay(1, "y")...)...)
	g := start(t, c.ListenAddrs(), reader)
	g.ready()
	g.next(0, 4) // a record and a marker, twice
	end(kgo.TryAbort, pay(0, "z")...)
	end(kgo.TryCommit, pay(0, "c")...)
	g.next(0, 8)
	got := ids(g.expect(3))
	slices.Sort(got)
	if diff := cmp.Diff([]string{"a", "b", "c"}, got); diff != "" {
		t.Error(diff)
	}
	if s := g.Status(); s.BadRecords != 0 || s.Lag != 0 {
		t.Errorf("status: %+v", s)
	}
}

// boundedMemory: while partition 0, which is older, is read fetch by fetch,
// partition 1 is fetched once and waits.
func boundedMemory(t *testing.T, reader option) {
	c := newCluster(t, 2)
	p := newProducer(t, c.ListenAddrs(), kgo.ProducerBatchCompression(kgo.NoCompression()))
	began := time.Now().Add(-time.Hour)
	pad := strings.Repeat("x", 100_000)
	for i := range 60 {
		for part := range int32(2) {
			r := record(part, "k", fmt.Sprintf(`{"id":"%d-%d","amount":1,"currency":"eur","metadata":{"pad":%q}}`, part, i, pad))
			r.Timestamp = began.Add(time.Duration(part)*time.Minute + time.Duration(i)*time.Millisecond)
			p.send(r)
		}
	}
	var mu sync.Mutex
	var asked []int32 // the partitions, fetch by fetch
	c.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, partitionsOf(req)...)
		return nil, nil, false
	})
	g := start(t, c.ListenAddrs(), reader)
	g.ready()
	g.expect(120)
	mu.Lock()
	defer mu.Unlock()
	// 60 records of 100 kB are 6 fetches of 1 MiB.
	second := slices.Index(asked[slices.Index(asked, 1)+1:], 1)
	if second < 4 {
		t.Errorf("partition 1 was read on too soon: %v", asked)
	}
}

func answersTooSoon(t *testing.T, reader option) {
	c := newCluster(t, 1)
	c.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		return fetchError(req.(*kmsg.FetchRequest), 0), nil, true // no error, no records
	})
	g := start(t, c.ListenAddrs(), reader)
	g.ready()
	time.Sleep(2 * time.Second)
	before := g.Status().Fetches
	time.Sleep(2 * time.Second)
	if n := g.Status().Fetches - before; n > 6 {
		t.Errorf("%d fetches in 2 s", n)
	}
}

func idleFetches(t *testing.T, reader option) {
	const partitions, brokers = 12, 3
	c := newCluster(t, partitions, kfake.NumBrokers(brokers))
	g := start(t, c.ListenAddrs(), reader)
	g.ready()
	newProducer(t, c.ListenAddrs()).pay(3, "a")
	g.expect(1)
	// Counted and then timed: a busy machine makes fewer fetches, never more.
	before, began := g.Status().Fetches, time.Now()
	var n int64
	g.until("18 fetches", func() bool {
		n = g.Status().Fetches - before
		return n >= brokers*6
	})
	took := time.Since(began)
	if most := brokers * int64(took/(500*time.Millisecond)+2); n > most {
		t.Errorf("%d fetches of %d leaders in %v, want at most %d", n, brokers, took, most)
	}
}

// TestDrained: a kafka.Reader does not say how far a hole at the end of a
// partition goes. The consumer gets ready all the same.
func TestDrained(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	p := newProducer(t, c.ListenAddrs())
	p.pay(0, "a", "b")
	var hole atomic.Bool
	hole.Store(true)
	c.ControlKey(int16(kmsg.ListOffsets), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		ask := req.(*kmsg.ListOffsetsRequest)
		if !hole.Load() || ask.Version != 6 || ask.Topics[0].Partitions[0].Timestamp != -1 {
			return nil, nil, false
		}
		res := ask.ResponseKind().(*kmsg.ListOffsetsResponse)
		rt := kmsg.NewListOffsetsResponseTopic()
		rt.Topic = ask.Topics[0].Topic
		rp := kmsg.NewListOffsetsResponseTopicPartition()
		rp.Offset = 5
		rt.Partitions = append(rt.Partitions, rp)
		res.Topics = append(res.Topics, rt)
		return res, nil, true
	})
	g := start(t, c.ListenAddrs(), uncommitted)
	g.ready()
	g.expect(2)
	if s := g.Status(); s.Partitions[0].Next != 2 || s.Lag != 3 {
		t.Errorf("status: %+v", s)
	}
	hole.Store(false)
	p.pay(0, "c")
	g.expect(3)
}

// TestGatewaysAgree: what is made of a record depends on nothing but the record.
func TestGatewaysAgree(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	p := newProducer(t, c.ListenAddrs())
	for i := range 500 {
		id := fmt.Sprintf("p%d", i)
		p.send(record(int32(i%2), id, fmt.Sprintf(
			`{"id":%q,"provider":"PayPal","amount":"12.50","currency":"kwd","metadata":{"a":1,"b":%d,"c":null,"d":[1,2],"e":"x"}}`, id, i)))
	}
	a, b := start(t, c.ListenAddrs()), start(t, c.ListenAddrs(), uncommitted)
	a.ready()
	b.ready()
	if a.Status().Fingerprint != b.Status().Fingerprint {
		t.Error("two fingerprints of one topic")
	}
	for i := range 500 {
		id := fmt.Sprintf("p%d", i)
		x, _ := a.log.Get(id)
		y, ok := b.log.Get(id)
		if !ok || x != y {
			t.Fatalf("%s: %+v and %+v", id, x, y)
		}
		if k, v := unsafe.StringData(x.Key), unsafe.StringData(x.Value); uintptr(unsafe.Pointer(k)) < uintptr(unsafe.Pointer(v)) ||
			uintptr(unsafe.Pointer(k)) > uintptr(unsafe.Pointer(v))+uintptr(len(x.Value)) {
			t.Fatal("the key is a second copy")
		}
	}
}

func TestFingerprintTellsTopicsApart(t *testing.T) {
	t.Parallel()
	seen := map[[8]byte]bool{}
	for range 2 { // two clusters, or one that was made anew
		c := newCluster(t, 1)
		g := start(t, c.ListenAddrs())
		g.ready()
		seen[g.Status().Fingerprint] = true
	}
	if len(seen) != 2 {
		t.Error("two topics have one fingerprint")
	}
}

func TestLabelHasRoomForAll(t *testing.T) {
	t.Parallel()
	seen := map[any]bool{}
	for provider := range paymentpb.Provider_name {
		for status := range paymentpb.PaymentStatus_name {
			l := consumer.Label(&paymentpb.Payment{Provider: paymentpb.Provider(provider), Status: paymentpb.PaymentStatus(status)})
			if l > 63 || seen[l] {
				t.Errorf("provider %d, status %d: label %d", provider, status, l)
			}
			seen[l] = true
		}
	}
}

func TestNewRefusesWhatCanNotBeRight(t *testing.T) {
	t.Parallel()
	ok := consumer.Config{Kafka: kafkaconn.Config{Brokers: []string{"localhost:9092"}}, Topic: topic}
	if _, err := consumer.New(ok, nil); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		change func(*consumer.Config)
		say    string
	}{
		"no topic":   {func(c *consumer.Config) { c.Topic = "" }, "KAFKA_TOPIC"},
		"no brokers": {func(c *consumer.Config) { c.Kafka.Brokers = nil }, "KAFKA_BROKERS"},
		"no such CA": {func(c *consumer.Config) { c.Kafka.SSL, c.Kafka.CAFile = true, "/no/such" }, "KAFKA_SSL_CA_FILE: "},
	} {
		cfg := ok
		tc.change(&cfg)
		if _, err := consumer.New(cfg, nil); err == nil || !strings.Contains(err.Error(), tc.say) {
			t.Errorf("%s: error %v does not say %q", name, err, tc.say)
		}
	}
}

// TestAbsentBroker: what is wrong is known at once, the log tells it once, and
// it is tried on until the broker comes.
func TestAbsentBroker(t *testing.T) {
	t.Parallel()
	for reader, opt := range readers {
		t.Run(reader, func(t *testing.T) {
			t.Parallel()
			gone := newCluster(t, 1)
			addr := gone.ListenAddrs()
			port := kfakePort(t, addr[0])
			gone.Close()
			g := start(t, addr, opt)
			if r := g.Status().Reason; r == "" {
				t.Error("no reason")
			}
			g.until("reason", func() bool { return strings.Contains(g.Status().Reason, "cannot reach Kafka at "+addr[0]) })
			time.Sleep(time.Second)
			if n := g.logs.count("cannot reach Kafka"); n != 1 {
				t.Errorf("it was logged %d times", n)
			}
			newCluster(t, 1, port)
			g.ready()
		})
	}
}
