//go:build kafka

package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"

	paymentpb "paystream/gen/payment"
	"paystream/internal/clienttest"
	"paystream/internal/kafkatest"
)

// TestKilledAndRestarted kills a gateway that has read half of what it has while it came. The next
// one, which finds all of it there, gives the same for every record, and goes on where a subscriber
// was; so does a third one with room for less.
func TestKilledAndRestarted(t *testing.T) {
	w := newTurmoil(t, kafkatest.Shared(t))
	for range 3 {
		w.round(t)
	}
	first := startProcess(t, kafkaEnv(w.k, w.topic)...)
	first.awaitReady(t)
	for range 3 {
		w.round(t)
	}
	h := w.history(t)
	first.awaitCurrent(t, w)
	cursor := first.beginning(t)
	before, states := first.given(t, cursor, h.len()), first.states(t)
	if diff := cmp.Diff(w.states(t), states); diff != "" {
		t.Errorf("latest states (-Kafka's +the gateway's):\n%s", diff)
	}
	cut, left := first.open(t, cursor), h.begin()
	var last *paymentpb.PaymentEvent
	for range h.len() / 3 {
		var err error
		if last, err = cut.Next(); err == nil {
			err = left.take(last.GetPartition(), last.GetOffset())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	first.kill(t)

	second := startProcess(t, kafkaEnv(w.k, w.topic)...)
	second.awaitReady(t)
	if diff := cmp.Diff(before, second.given(t, cursor, h.len())); diff != "" {
		t.Errorf("before the kill and after (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(states, second.states(t)); diff != "" {
		t.Errorf("latest states before the kill and after (-before +after):\n%s", diff)
	}
	if err := left.readAll(second.open(t, last.GetCursor())); err != nil {
		t.Errorf("the subscriber that was cut off: %v", err)
	}

	third := startProcess(t, append(kafkaEnv(w.k, w.topic), "RETAIN_PAYMENTS=100")...)
	third.awaitReady(t)
	if diff := cmp.Diff(before, third.given(t, cursor, h.len())); diff != "" {
		t.Errorf("before the kill and, from Kafka, in the small gateway (-before +after):\n%s", diff)
	}
	retained := int(third.metric(t, "paystream_retained_payments"))
	if retained == 0 || retained > 100 {
		t.Errorf("the small gateway has %d payments", retained)
	}
	for at, got := range third.given(t, third.beginning(t), retained) {
		if diff := cmp.Diff(before[at], got); diff != "" {
			t.Errorf("%v, in the small gateway (-before +after):\n%s", at, diff)
		}
	}
}

// place is where a payment is on Kafka.
type place struct {
	Partition int32
	Offset    int64
}

// gift is what a gateway says of a record, whichever gateway it is.
type gift struct {
	Payment     string // as encoded on the wire
	Topic       string
	PublishedAt int64
}

// open opens a stream from a cursor, to be closed by the test's end.
func (i *instance) open(t *testing.T, cursor string) clienttest.Stream {
	t.Helper()
	c := clienttest.DialGRPC(i.address)
	s, err := c.Open(patiently(t), &paymentpb.StreamPaymentsRequest{Cursor: cursor})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		c.Close()
	})
	return s
}

// beginning returns the cursor from which everything retained comes.
func (i *instance) beginning(t *testing.T) string {
	t.Helper()
	c := clienttest.DialGRPC(i.address)
	defer c.Close()
	s, err := c.Open(patiently(t), &paymentpb.StreamPaymentsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	return s.FirstCursor()
}

// states returns the number of the latest state of each payment.
func (i *instance) states(t *testing.T) map[string]string {
	t.Helper()
	c := clienttest.DialGRPC(i.address)
	defer c.Close()
	list, err := c.List(t.Context(), &paymentpb.ListPaymentsRequest{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if list.GetNextCursor() != "" || int(list.GetTotalCount()) != len(list.GetPayments()) {
		t.Fatalf("%d payments of %d on one page", len(list.GetPayments()), list.GetTotalCount())
	}
	all := map[string]string{}
	for _, p := range list.GetPayments() {
		all[p.GetId()] = p.GetMetadata()["number"]
	}
	return all
}

// given reads n payments from a cursor on.
func (i *instance) given(t *testing.T, cursor string, n int) map[place]gift {
	t.Helper()
	s := i.open(t, cursor)
	all := map[place]gift{}
	for range n {
		m, err := s.NextMessage()
		if err != nil {
			t.Fatalf("after %d: %v", len(all), err)
		}
		event, err := m.Decode()
		if err != nil {
			t.Fatal(err)
		}
		at := place{event.GetPartition(), event.GetOffset()}
		if _, twice := all[at]; twice {
			t.Fatalf("%v came twice", at)
		}
		_, _, n := protowire.ConsumeField(m) // the payment comes first
		all[at] = gift{string(m[:n]), event.GetTopic(), event.GetPublishedAt()}
	}
	return all
}
