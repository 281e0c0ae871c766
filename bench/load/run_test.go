package load

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"paystream/bench/sample"
	paymentpb "paystream/gen/payment"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const tested = 60 // payments a subscriber gets

// body encodes events as a protocol has them.
func body(t *testing.T, p Protocol, list []*paymentpb.PaymentEvent) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, event := range list {
		text, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(event)
		if err != nil {
			t.Fatal(err)
		}
		encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(event)
		if err != nil {
			t.Fatal(err)
		}
		switch p {
		case SSE:
			fmt.Fprintf(&b, "id: %s\ndata: %s\n\n", event.GetCursor(), text)
		case NDJSON:
			fmt.Fprintf(&b, "%s\n", text)
		case ConnectJSON:
			b.WriteString(envelope(0, string(text)))
		case GRPC, GRPCWeb, TCP:
			b.WriteString(envelope(0, string(encoded)))
		}
	}
	return b.Bytes()
}

// server streams a body to each subscriber, in pieces; bodies tells them apart by number.
func server(t *testing.T, bodies func(subscriber int) []byte) string {
	t.Helper()
	var n atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b := bodies(int(n.Add(1)) - 1)
		control := http.NewResponseController(w)
		_ = control.Flush()
		for piece := range slices.Chunk(b, 1500) {
			_, _ = w.Write(piece)
			_ = control.Flush()
		}
		<-r.Context().Done()
	}))
	s.Config.Protocols = &http.Protocols{}
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// attempt runs a job through all its steps.
func attempt(job Job, payments sample.Payments) (Result, error) {
	want, err := expectations(job, payments)
	if err != nil {
		return Result{}, err
	}
	r, err := dial(job)
	if err != nil {
		return Result{}, err
	}
	defer r.stop()
	counts := make([]int, len(want))
	for g := range want {
		counts[g] = want[g].total
	}
	r.expect(counts)
	if err := r.subscribe(); err != nil {
		return Result{}, err
	}
	if job.Gated {
		if err := r.release(); err != nil {
			return Result{}, err
		}
	}
	if _, err := r.wait(); err != nil {
		return Result{}, err
	}
	return r.finish(Finish{}, payments, want)
}

func TestEveryProtocolIsRead(t *testing.T) {
	t.Parallel()
	payments, list := sample.Generate(tested), events(t, topic, tested)
	for _, c := range []struct {
		protocol Protocol
		http1    bool
	}{{GRPC, false}, {GRPCWeb, false}, {GRPCWeb, true}, {ConnectJSON, false}, {ConnectJSON, true}, {SSE, false}, {SSE, true}, {NDJSON, true}} {
		t.Run(fmt.Sprintf("%s HTTP/1.1 %t", c.protocol, c.http1), func(t *testing.T) {
			t.Parallel()
			b := body(t, c.protocol, list)
			address := server(t, func(int) []byte { return b })
			for _, window := range []int{0, 3000} {
				result, err := attempt(Job{
					Address: address, Protocol: c.protocol, HTTP1: c.http1, Topic: topic, Sum: SumAll, Window: window,
					Gated: !c.http1, Groups: []Group{{Subscribers: 5, To: tested, Existing: tested}}, Timeout: 20 * time.Second,
				}, payments)
				if err != nil || result.Deliveries != 5*tested {
					t.Fatalf("%+v, %v", result, err)
				}
			}
		})
	}
}

func TestOneConnectionCarriesManyStreams(t *testing.T) {
	t.Parallel()
	payments, list := sample.Generate(tested), events(t, topic, tested)
	b := body(t, GRPC, list)
	address := server(t, func(int) []byte { return b })
	result, err := attempt(Job{
		Address: address, Protocol: GRPC, Topic: topic, Sum: SumAll, StreamsPerConn: 4,
		Groups: []Group{{Subscribers: 10, To: tested, Existing: tested}}, Timeout: 20 * time.Second,
	}, payments)
	if err != nil || result.Deliveries != 10*tested {
		t.Fatalf("%+v, %v", result, err)
	}
}

// TestWrongEventsFailTheRun is what the bench stands on: whatever is wrong, with the subscriber that
// keeps its events or with another, the run fails.
func TestWrongEventsFailTheRun(t *testing.T) {
	t.Parallel()
	payments, list := sample.Generate(tested+1), events(t, topic, tested+1)
	good, extra := list[:tested], list[tested]
	edit := func(change func(list []*paymentpb.PaymentEvent) []*paymentpb.PaymentEvent) []*paymentpb.PaymentEvent {
		clone := make([]*paymentpb.PaymentEvent, len(good))
		for i, event := range good {
			clone[i] = proto.CloneOf(event)
		}
		return change(clone)
	}
	faults := map[string][]*paymentpb.PaymentEvent{
		"dropped":           edit(func(l []*paymentpb.PaymentEvent) []*paymentpb.PaymentEvent { return slices.Delete(l, 30, 31) }),
		"dropped, the last": edit(func(l []*paymentpb.PaymentEvent) []*paymentpb.PaymentEvent { return l[:len(l)-1] }),
		"doubled":           edit(func(l []*paymentpb.PaymentEvent) []*paymentpb.PaymentEvent { return slices.Insert(l, 30, l[30]) }),
		"doubled, the last": edit(func(l []*paymentpb.PaymentEvent) []*paymentpb.PaymentEvent { return append(l, l[len(l)-1]) }),
		"reordered": edit(func(l []*paymentpb.PaymentEvent) []*paymentpb.PaymentEvent {
			l[30], l[33] = l[33], l[30] // of one partition
			return l
		}),
		"one more": edit(func(l []*paymentpb.PaymentEvent) []*paymentpb.PaymentEvent { return append(l, extra) }),
		"a payment altered": edit(func(l []*paymentpb.PaymentEvent) []*paymentpb.PaymentEvent {
			l[30].Payment.Amount++
			return l
		}),
		"a payment in another's place": edit(func(l []*paymentpb.PaymentEvent) []*paymentpb.PaymentEvent {
			l[30].Payment, l[31].Payment = l[31].GetPayment(), l[30].GetPayment()
			return l
		}),
		"of another topic": edit(func(l []*paymentpb.PaymentEvent) []*paymentpb.PaymentEvent { l[30].Topic = "x"; return l }),
		"of another type":  edit(func(l []*paymentpb.PaymentEvent) []*paymentpb.PaymentEvent { l[30].EventType = "new"; return l }),
		"without a cursor": edit(func(l []*paymentpb.PaymentEvent) []*paymentpb.PaymentEvent { l[30].Cursor = ""; return l }),
	}
	for name, wrong := range faults {
		for _, protocol := range []Protocol{GRPC, SSE} {
			for _, who := range []int{0, 2} {
				t.Run(fmt.Sprintf("%s, %s, subscriber %d", name, protocol, who), func(t *testing.T) {
					t.Parallel()
					bodies := [2][]byte{body(t, protocol, good), body(t, protocol, wrong)}
					address := server(t, func(n int) []byte {
						if n == who {
							return bodies[1]
						}
						return bodies[0]
					})
					_, err := attempt(Job{
						Address: address, Protocol: protocol, HTTP1: protocol == SSE, Topic: topic, Sum: SumAll,
						Groups: []Group{{Subscribers: 4, To: tested, Existing: tested}}, Timeout: time.Second,
					}, payments)
					if err == nil {
						t.Fatal("the run is found right")
					}
				})
			}
		}
	}
}

func TestFilteredRunsAreChecked(t *testing.T) {
	t.Parallel()
	payments, list := sample.Generate(tested), events(t, topic, tested)
	const provider = paymentpb.Provider_PROVIDER_STRIPE
	stripes := slices.DeleteFunc(slices.Clone(list), func(e *paymentpb.PaymentEvent) bool { return e.GetPayment().GetProvider() != provider })
	if len(stripes) < 3 || len(stripes) == tested {
		t.Fatalf("%d of %d", len(stripes), tested)
	}
	job := func(b []byte) Job {
		return Job{
			Address: server(t, func(int) []byte { return b }), Protocol: GRPC, Topic: topic, Sum: SumFields,
			Groups: []Group{{Subscribers: 3, Provider: provider, To: tested, Existing: tested}}, Timeout: time.Second,
		}
	}
	if _, err := attempt(job(body(t, GRPC, stripes)), payments); err != nil {
		t.Error(err)
	}
	for name, wrong := range map[string][]*paymentpb.PaymentEvent{"everything": list, "one dropped": stripes[1:]} {
		if _, err := attempt(job(body(t, GRPC, wrong)), payments); err == nil {
			t.Errorf("%s is found right", name)
		}
	}
}

func TestEndsOfStreamsFailTheRun(t *testing.T) {
	t.Parallel()
	payments := sample.Generate(tested)
	gone := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	gone.Config.Protocols = &http.Protocols{}
	gone.Config.Protocols.SetHTTP1(true)
	gone.Config.Protocols.SetUnencryptedHTTP2(true)
	gone.Start()
	defer gone.Close()
	refusing := httptest.NewServer(http.NotFoundHandler())
	defer refusing.Close()
	for name, job := range map[string]Job{
		"HTTP/2":  {Address: gone.Listener.Addr().String(), Protocol: GRPC},
		"HTTP/1":  {Address: gone.Listener.Addr().String(), Protocol: SSE, HTTP1: true},
		"refused": {Address: refusing.Listener.Addr().String(), Protocol: SSE, HTTP1: true},
	} {
		job.Topic, job.Sum, job.Timeout = topic, SumAll, 5*time.Second
		job.Groups = []Group{{Subscribers: 1, To: tested}}
		if _, err := attempt(job, payments); err == nil || strings.Contains(err.Error(), "not all") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPlainSocketsAreRead(t *testing.T) {
	t.Parallel()
	payments, list := sample.Generate(tested), events(t, topic, tested)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := body(t, TCP, list)
	served := make(chan struct{})
	go func() {
		defer close(served)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		_, _ = conn.Read(make([]byte, 1))
		_, _ = conn.Write(append([]byte{'s'}, b...))
		_, _ = conn.Read(make([]byte, 1)) // until the client goes
		_ = conn.Close()
	}()
	result, err := attempt(Job{
		Address: listener.Addr().String(), Protocol: TCP, Topic: topic, Sum: SumAll,
		Groups: []Group{{Subscribers: 1, To: tested, Existing: tested}}, Timeout: 5 * time.Second,
	}, payments)
	_ = listener.Close()
	<-served
	if err != nil || result.Deliveries != tested || result.Bytes != int64(len(b)-tested*envelopeSize) {
		t.Fatalf("%+v, %v", result, err)
	}
}

func TestLatencies(t *testing.T) {
	t.Parallel()
	r := &run{subscribers: []*subscriber{{came: []int64{1000, 2000, 0}}, {came: []int64{1500, 2700, 3100}}, {}}}
	r.subscribers[1].came = append(r.subscribers[1].came, 9000)
	r.subscribers[0].came = append(r.subscribers[0].came, 9000)
	l, err := r.latencies([]int64{900, 1900, 3000, 0})
	if err != nil {
		t.Fatal(err)
	}
	want := Latencies{
		SincePublished: Quantiles{Count: 5, P50: 100, P99: 800, P999: 800, Max: 800}, // 100 100 100 600 800
		SinceFirst:     Quantiles{Count: 5, P50: 0, P99: 700, P999: 700, Max: 700},   // 0 0 0 500 700
	}
	if l != want {
		t.Errorf("%+v", l)
	}
	if _, err := r.latencies([]int64{1}); err == nil {
		t.Error("times of other payments are taken")
	}
	if q := QuantilesOf(nil); q != (Quantiles{}) {
		t.Errorf("of none: %+v", q)
	}
}
