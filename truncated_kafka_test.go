//go:build kafka

package main

import (
	"errors"
	"fmt"
	"testing"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	paymentpb "paystream/gen/payment"
	"paystream/internal/clienttest"
	"paystream/internal/kafkatest"
)

// TestTruncated has a broker lose the end of a partition in a crash, and put other records at the offsets. A
// subscriber of the gateway, which ran all the while, is told what it has seen in vain and goes on with what is
// there now; so does one that comes to a gateway which knows the new records alone.
func TestTruncated(t *testing.T) {
	k := kafkatest.Start(t)
	topic := kafkatest.TopicName(t)
	k.CreateTopic(t, topic, 2, nil)
	for i := range 10 { // a batch each
		k.Produce(t, topic, paid(0, fmt.Sprintf("kept-%d", i)))
	}
	g := startInstance(t, kafkaEnv(k, topic)...)
	g.awaitReady(t)
	stream := g.open(t, g.beginning(t))
	var last *paymentpb.PaymentEvent
	read := func(n int) {
		t.Helper()
		for range n {
			var err error
			if last, err = stream.Next(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range 5 {
		k.Produce(t, topic, paid(0, fmt.Sprintf("lost-%d", i)))
	}
	read(15)

	k.Kill(t)
	k.CutBack(t, topic, 0, 10)
	k.Restart(t)
	for i := range 20 {
		k.Produce(t, topic, paid(0, fmt.Sprintf("new-%d", i)))
	}
	_, err := stream.Next()
	end, ok := errors.AsType[*clienttest.EndedError](err)
	if !ok || end.Code != connect.CodeUnavailable || end.End.GetCursor() == "" {
		t.Fatalf("%v, want Unavailable and a cursor", err)
	}
	soon(t, "it has begun anew", func() error {
		if g.log.find("beginning anew with what Kafka has now") == nil {
			return errors.New("not logged")
		}
		return nil
	})
	g.awaitReady(t)
	other := startInstance(t, kafkaEnv(k, topic)...)
	other.awaitReady(t)
	for _, gateway := range []*instance{g, other} {
		for name, cursor := range map[string]string{"the stream's end": end.End.GetCursor(), "its last event": last.GetCursor()} {
			checkTakenBack(t, gateway, name, cursor)
		}
	}
}

// checkTakenBack goes on from a cursor that stands behind what Kafka has lost.
func checkTakenBack(t *testing.T, g *instance, name, cursor string) {
	t.Helper()
	c := clienttest.DialGRPC(g.address)
	t.Cleanup(c.Close)
	var gap *clienttest.EndedError
	soon(t, "it tells of the gap", func() error {
		s, err := c.Open(t.Context(), &paymentpb.StreamPaymentsRequest{Cursor: cursor})
		if err == nil {
			_, err = s.Next()
			s.Close()
		}
		var ok bool
		if gap, ok = errors.AsType[*clienttest.EndedError](err); !ok || gap.Code != connect.CodeDataLoss {
			return fmt.Errorf("from the cursor of %s: %w, want DataLoss", name, err)
		}
		return nil
	})
	want := []*paymentpb.StreamEnd_Gap{{Partition: 0, From: 15, To: 10}}
	if diff := cmp.Diff(want, gap.End.GetGaps(), protocmp.Transform()); diff != "" {
		t.Errorf("gaps (-want +got):\n%s", diff)
	}
	s := g.open(t, gap.End.GetCursor())
	var got, wanted []string
	for i := range 20 {
		wanted = append(wanted, fmt.Sprintf("%d new-%d", 10+i, i))
		event, err := s.Next()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%d %s", event.GetOffset(), event.GetPayment().GetId()))
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Errorf("behind the gap, from %s (-want +got):\n%s", name, diff)
	}
}
