package server_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"

	"paystream/broadcast"
	paymentpb "paystream/gen/payment"
	"paystream/internal/clienttest"
)

// open opens a stream that the test closes.
func open(t *testing.T, c clienttest.Client, req *paymentpb.StreamPaymentsRequest) clienttest.Stream {
	t.Helper()
	e, err := c.Open(t.Context(), req)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(e.Close)
	return e
}

// take reads n events and returns "type id" of each, and the last.
func take(t *testing.T, e clienttest.Stream, n int) (got []string, last *paymentpb.PaymentEvent) {
	t.Helper()
	for range n {
		event, err := e.Next()
		if err != nil {
			t.Fatalf("after %v: %v", got, err)
		}
		got = append(got, event.GetEventType()+" "+event.GetPayment().GetId())
		last = event
	}
	return got, last
}

func as(kind string, ids ...string) []string {
	all := make([]string, len(ids))
	for i, id := range ids {
		all[i] = kind + " " + id
	}
	return all
}

func same(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

// failure returns how a stream or call ended.
func failure(t *testing.T, err error) *clienttest.EndedError {
	t.Helper()
	var end *clienttest.EndedError
	if !errors.As(err, &end) {
		t.Fatalf("ended with %v, want an error of the protocol", err)
	}
	return end
}

func TestExistingThenNew(t *testing.T) {
	t.Parallel()
	perProtocol(t, func(t *testing.T, dial func(*gateway) clienttest.Client) {
		g := start(t)
		g.publishIDs(t, 0, "a", "b")
		g.publishIDs(t, 1, "c", "a") // a later state of a
		stream := open(t, dial(g), &paymentpb.StreamPaymentsRequest{})
		got, _ := take(t, stream, 3)
		same(t, "existing", as("existing", "b", "c", "a"), got)
		g.publishIDs(t, 2, "d")
		g.publishIDs(t, 0, "b")
		got, _ = take(t, stream, 2)
		same(t, "new", as("new", "d", "b"), got)
	})
}

func TestEventCarriesAll(t *testing.T) {
	t.Parallel()
	perProtocol(t, func(t *testing.T, dial func(*gateway) clienttest.Client) {
		g := start(t)
		p := sample("pay_1", paymentpb.Provider_PROVIDER_PAYPAL, paymentpb.PaymentStatus_STATUS_REFUNDED)
		g.publish(t, 0, p)
		_, event := take(t, open(t, dial(g), &paymentpb.StreamPaymentsRequest{}), 1)
		if event.GetCursor() == "" {
			t.Error("no cursor")
		}
		same(t, "event", &paymentpb.PaymentEvent{
			Payment: p, EventType: "existing", Topic: topic, Partition: 0, Offset: 0,
			Cursor: event.GetCursor(), PublishedAt: 1_700_000_001_000,
		}, event)
	})
}

func TestFilters(t *testing.T) {
	t.Parallel()
	const stripe, paypal = paymentpb.Provider_PROVIDER_STRIPE, paymentpb.Provider_PROVIDER_PAYPAL
	const failed, done = paymentpb.PaymentStatus_STATUS_FAILED, paymentpb.PaymentStatus_STATUS_COMPLETED
	perProtocol(t, func(t *testing.T, dial func(*gateway) clienttest.Client) {
		tests := []struct {
			name string
			req  *paymentpb.StreamPaymentsRequest
			want []string
		}{
			{"any", &paymentpb.StreamPaymentsRequest{}, []string{"a", "b", "c", "d", "e"}},
			{"provider", &paymentpb.StreamPaymentsRequest{Provider: stripe}, []string{"a", "b"}},
			{"status", &paymentpb.StreamPaymentsRequest{Status: failed}, []string{"b", "d"}},
			{"both", &paymentpb.StreamPaymentsRequest{Provider: paypal, Status: done}, []string{"c"}},
		}
		g := start(t)
		c := dial(g)
		var streams []clienttest.Stream
		publish := func(suffix string) {
			for _, p := range []struct {
				id       string
				provider paymentpb.Provider
				status   paymentpb.PaymentStatus
			}{{"a", stripe, done}, {"b", stripe, failed}, {"c", paypal, done}, {"d", paypal, failed}, {"e", 0, 0}} {
				g.publish(t, 0, sample(p.id+suffix, p.provider, p.status))
			}
		}
		publish("")
		for _, test := range tests {
			stream := open(t, c, test.req)
			got, _ := take(t, stream, len(test.want))
			same(t, test.name+", existing", as("existing", test.want...), got)
			streams = append(streams, stream)
		}
		publish("2")
		for i, test := range tests {
			got, _ := take(t, streams[i], len(test.want))
			same(t, test.name+", new", strings.Join(as("new", test.want...), "2 ")+"2", strings.Join(got, " "))
		}
	})
}

func TestLimitKeepsTheNewest(t *testing.T) {
	t.Parallel()
	perProtocol(t, func(t *testing.T, dial func(*gateway) clienttest.Client) {
		g := start(t)
		g.publishIDs(t, 0, ids("p", 10)...)
		stream := open(t, dial(g), &paymentpb.StreamPaymentsRequest{Limit: 3})
		g.publishIDs(t, 0, "x", "y")
		got, _ := take(t, stream, 5)
		same(t, "events", append(as("existing", "p-7", "p-8", "p-9"), as("new", "x", "y")...), got)
	})
}

func TestNewOnly(t *testing.T) {
	t.Parallel()
	perProtocol(t, func(t *testing.T, dial func(*gateway) clienttest.Client) {
		g := start(t)
		g.publishIDs(t, 0, "a")
		stream := open(t, dial(g), &paymentpb.StreamPaymentsRequest{Start: paymentpb.StreamStart_START_NEW_ONLY})
		g.publishIDs(t, 0, "b")
		got, _ := take(t, stream, 1)
		same(t, "events", as("new", "b"), got)
	})
}

func TestHeadersComeAtOnceWithTheFirstCursor(t *testing.T) {
	t.Parallel()
	perProtocol(t, func(t *testing.T, dial func(*gateway) clienttest.Client) {
		g := start(t)
		c := dial(g)
		stream := open(t, c, &paymentpb.StreamPaymentsRequest{}) // returns only when the headers are there
		if stream.FirstCursor() == "" {
			t.Fatal("no first cursor")
		}
		g.publishIDs(t, 0, "a")
		again := open(t, c, &paymentpb.StreamPaymentsRequest{Cursor: stream.FirstCursor()})
		got, _ := take(t, again, 1)
		same(t, "from the first cursor", as("new", "a"), got)
	})
}

// TestResume stops after every event and goes on from its cursor, in turn on two gateways that hold
// the same records in another order of partitions.
func TestResume(t *testing.T) {
	t.Parallel()
	perProtocol(t, func(t *testing.T, dial func(*gateway) clienttest.Client) {
		one, two := start(t), start(t)
		const n = 7
		for i := range n {
			for p := range int32(3) {
				one.publishIDs(t, p, fmt.Sprint(p, "-", i))
			}
		}
		for p := range int32(3) {
			for i := range n {
				two.publishIDs(t, 2-p, fmt.Sprint(2-p, "-", i))
			}
		}
		clients := []clienttest.Client{dial(one), dial(two)}
		seen := map[string]int{}
		next := map[int32]int64{}
		cursor := ""
		for i := range 3 * n {
			stream := open(t, clients[i%2], &paymentpb.StreamPaymentsRequest{Cursor: cursor, Limit: int32(-min(i, 1))})
			event, err := stream.Next()
			if err != nil {
				t.Fatal(err)
			}
			stream.Close()
			seen[event.GetPayment().GetId()]++
			if event.GetOffset() != next[event.GetPartition()] {
				t.Fatalf("partition %d: offset %d, want %d", event.GetPartition(), event.GetOffset(), next[event.GetPartition()])
			}
			next[event.GetPartition()]++
			cursor = event.GetCursor()
		}
		if len(seen) != 3*n {
			t.Errorf("%d payments, want %d: %v", len(seen), 3*n, seen)
		}
	})
}

func TestHeartbeats(t *testing.T) {
	t.Parallel()
	perProtocol(t, func(t *testing.T, dial func(*gateway) clienttest.Client) {
		g := start(t)
		stream := open(t, dial(g), &paymentpb.StreamPaymentsRequest{Heartbeat: durationpb.New(100 * time.Millisecond)})
		_, first := take(t, stream, 1)
		same(t, "heartbeat", &paymentpb.PaymentEvent{EventType: "heartbeat", Topic: topic, Cursor: first.GetCursor()}, first)
		g.log.Append(broadcast.Batch{Partition: 1, Next: 5}) // nothing to send, and still the cursor moves
		eventually(t, "a heartbeat with a newer cursor", func() bool {
			_, beat := take(t, stream, 1)
			return beat.GetCursor() != first.GetCursor()
		})
		g.publishIDs(t, 0, "a")
		eventually(t, "the payment between heartbeats", func() bool {
			_, event := take(t, stream, 1)
			return event.GetPayment().GetId() == "a"
		})
	})
}

func TestNoHeartbeatUnasked(t *testing.T) {
	t.Parallel()
	perProtocol(t, func(t *testing.T, dial func(*gateway) clienttest.Client) {
		g := start(t)
		stream := open(t, dial(g), &paymentpb.StreamPaymentsRequest{})
		time.Sleep(300 * time.Millisecond)
		g.publishIDs(t, 0, "a")
		got, _ := take(t, stream, 1)
		same(t, "events", as("new", "a"), got)
	})
}

func TestCancelFreesTheSubscriber(t *testing.T) {
	t.Parallel()
	perProtocol(t, func(t *testing.T, dial func(*gateway) clienttest.Client) {
		g := start(t)
		g.publishIDs(t, 0, ids("p", 500)...)
		c := dial(g)
		for i := range 10 {
			ctx, cancel := context.WithCancel(t.Context())
			stream, err := c.Open(ctx, &paymentpb.StreamPaymentsRequest{})
			if err != nil {
				t.Fatal(err)
			}
			take(t, stream, i)
			cancel()
			stream.Close()
		}
		eventually(t, "no subscriber is left", func() bool { return g.Subscribers() == 0 })
	})
}

// oldCursor returns the cursor behind the first record of partition 0.
func oldCursor(t *testing.T) string {
	g := start(t)
	g.publishIDs(t, 0, "p-0")
	c := clienttest.DialGRPC(g.address)
	defer c.Close()
	list, err := c.List(t.Context(), &paymentpb.ListPaymentsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return list.GetStreamCursor()
}

func TestDrainEndsStreamsWithTheirCursor(t *testing.T) {
	t.Parallel()
	perProtocol(t, func(t *testing.T, dial func(*gateway) clienttest.Client) {
		g, other := start(t), start(t)
		for _, each := range []*gateway{g, other} {
			each.publishIDs(t, 0, "a", "b")
		}
		stream := open(t, dial(g), &paymentpb.StreamPaymentsRequest{})
		take(t, stream, 2)
		go g.stop()
		_, err := stream.Next()
		end := failure(t, err)
		if end.Code != connect.CodeUnavailable || end.End == nil || !end.Retry {
			t.Fatalf("%+v, want Unavailable, a StreamEnd and a retry delay", end)
		}
		other.publishIDs(t, 0, "c")
		got, _ := take(t, open(t, dial(other), &paymentpb.StreamPaymentsRequest{Cursor: end.End.GetCursor()}), 1)
		same(t, "on another gateway", as("new", "c"), got)
		g.stop()
	})
}

func TestGetAndList(t *testing.T) {
	t.Parallel()
	perProtocol(t, func(t *testing.T, dial func(*gateway) clienttest.Client) {
		g := start(t)
		g.publishIDs(t, 0, ids("p", 5)...)
		refunded := sample("p-1", paymentpb.Provider_PROVIDER_STRIPE, paymentpb.PaymentStatus_STATUS_REFUNDED)
		g.publish(t, 0, refunded)
		g.publishIDs(t, 1, "id with/slash")
		c := dial(g)
		p, err := c.Get(t.Context(), "p-1")
		if err != nil {
			t.Fatal(err)
		}
		same(t, "latest state", refunded, p)
		if _, err := c.Get(t.Context(), "id with/slash"); err != nil {
			t.Errorf("an id that has to be escaped: %v", err)
		}
		if _, err := c.Get(t.Context(), "absent"); failure(t, err).Code != connect.CodeNotFound {
			t.Errorf("absent: %v, want NotFound", err)
		}
		var got []string
		req := &paymentpb.ListPaymentsRequest{Limit: 2}
		for {
			list, err := c.List(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range list.GetPayments() {
				got = append(got, p.GetId())
			}
			if list.GetTotalCount() != 6 {
				t.Errorf("total %d, want 6", list.GetTotalCount())
			}
			if list.GetNextCursor() == "" {
				break
			}
			req.Cursor = list.GetNextCursor()
			g.publishIDs(t, 2, "later", "p-0") // the walk still shows its own moment
		}
		same(t, "newest first", []string{"id with/slash", "p-1", "p-4", "p-3", "p-2", "p-0"}, got)
		for what, bad := range map[string]*paymentpb.ListPaymentsRequest{
			"a token of other filters": {Cursor: req.GetCursor(), Status: paymentpb.PaymentStatus_STATUS_FAILED},
			"a negative limit":         {Limit: -1},
			"a malformed token":        {Cursor: "x"},
		} {
			if _, err := c.List(t.Context(), bad); failure(t, err).Code != connect.CodeInvalidArgument {
				t.Errorf("%s: %v, want InvalidArgument", what, err)
			}
		}
		list, err := c.List(t.Context(), &paymentpb.ListPaymentsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.List(t.Context(), &paymentpb.ListPaymentsRequest{Cursor: list.GetStreamCursor()}); !strings.Contains(failure(t, err).Message, "stream's cursor") {
			t.Errorf("a stream's cursor as page token: %v", err)
		}
		stream := open(t, c, &paymentpb.StreamPaymentsRequest{Cursor: list.GetStreamCursor()})
		g.publishIDs(t, 0, "after the list")
		events, _ := take(t, stream, 1)
		same(t, "from stream_cursor", as("new", "after the list"), events)
	})
}

func TestPageTokenAheadOfAGateway(t *testing.T) {
	t.Parallel()
	perProtocol(t, func(t *testing.T, dial func(*gateway) clienttest.Client) {
		one, two := start(t), start(t)
		one.publishIDs(t, 0, ids("p", 4)...)
		two.publishIDs(t, 0, ids("p", 3)...)
		list, err := dial(one).List(t.Context(), &paymentpb.ListPaymentsRequest{Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		lagging := dial(two)
		next := &paymentpb.ListPaymentsRequest{Limit: 10, Cursor: list.GetNextCursor()}
		if _, err := lagging.List(t.Context(), next); failure(t, err).Code != connect.CodeUnavailable {
			t.Errorf("a gateway that stays behind: %v, want Unavailable", err)
		}
		caught := make(chan struct{})
		go func() {
			defer close(caught)
			time.Sleep(100 * time.Millisecond)
			two.publishIDs(t, 0, "p-3")
		}()
		rest, err := lagging.List(t.Context(), next)
		<-caught
		if err != nil {
			t.Fatalf("a gateway that catches up: %v", err)
		}
		if len(rest.GetPayments()) != 3 {
			t.Errorf("%d payments, want 3", len(rest.GetPayments()))
		}
	})
}

// TestFallenBehind stops reading until the window has passed by.
func TestFallenBehind(t *testing.T) {
	t.Parallel()
	perProtocol(t, func(t *testing.T, dial func(*gateway) clienttest.Client) {
		g := start(t, withWindow(1000))
		stream := open(t, dial(g), &paymentpb.StreamPaymentsRequest{})
		big := sample("", paymentpb.Provider_PROVIDER_STRIPE, paymentpb.PaymentStatus_STATUS_PENDING)
		big.Metadata = map[string]string{"filler": strings.Repeat("x", 20_000)}
		const n = 3000 // more than all buffers in between
		for i := range n {
			big.Id = fmt.Sprint("p-", i)
			g.publish(t, 0, big)
		}
		for next := range int64(n) {
			event, err := stream.Next()
			if err != nil || event.GetOffset() != next {
				t.Fatalf("%v, offset %d, want %d", err, event.GetOffset(), next)
			}
		}
		if g.source.asked == 0 {
			t.Error("it did not fall behind: this shows nothing")
		}
	})
}
