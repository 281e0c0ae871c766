//go:build kafka

package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/twmb/franz-go/pkg/kgo"

	paymentpb "paystream/gen/payment"
	"paystream/internal/clienttest"
	"paystream/internal/kafkatest"
)

// TestTopicMadeAnew deletes the topic under a gateway and makes another of its name, with more records than the old
// one had: streams end with their cursor, which is no good then, and the gateway serves the new topic, all of it.
func TestTopicMadeAnew(t *testing.T) {
	k := kafkatest.Shared(t)
	topic := kafkatest.TopicName(t)
	k.CreateTopic(t, topic, 1, nil)
	k.Produce(t, topic, paid(0, "old-1"), paid(0, "old-2"))
	g := startInstance(t, kafkaEnv(k, topic)...)
	g.awaitReady(t)
	stream := g.open(t, g.beginning(t))
	for range 2 {
		if _, err := stream.Next(); err != nil {
			t.Fatal(err)
		}
	}
	k.DeleteTopic(t, topic)
	k.CreateTopic(t, topic, 2, nil)
	var records []*kgo.Record
	for i := range 50 {
		records = append(records, paid(int32(i%2), string(rune('a'+i%26))+"-new"))
	}
	k.Produce(t, topic, records...)

	_, err := stream.Next()
	end, ok := errors.AsType[*clienttest.EndedError](err)
	if !ok || end.Code != connect.CodeUnavailable || end.End.GetCursor() == "" {
		t.Fatalf("%v, want Unavailable and a cursor", err)
	}
	soon(t, "it listens again", func() error {
		conn, err := net.Dial("tcp", g.address)
		if err == nil {
			conn.Close()
		}
		return err
	})
	g.awaitReady(t)
	c := clienttest.DialGRPC(g.address)
	t.Cleanup(c.Close)
	soon(t, "the old cursor is refused", func() error {
		s, err := c.Open(t.Context(), &paymentpb.StreamPaymentsRequest{Cursor: end.End.GetCursor()})
		if err == nil {
			_, err = s.Next()
			s.Close()
		}
		if refused, ok := errors.AsType[*clienttest.EndedError](err); !ok || refused.Code != connect.CodeFailedPrecondition {
			return fmt.Errorf("%w, want FailedPrecondition", err)
		}
		return nil
	})
	s, err := c.Open(patiently(t), everything())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	got := map[int32]int64{}
	for range 50 {
		event, err := s.Next()
		if err != nil || event.GetOffset() != got[event.GetPartition()] {
			t.Fatalf("%v, %v; want offset %d", event, err, got[event.GetPartition()])
		}
		got[event.GetPartition()]++
	}
}

// TestTopicMadeAnewUnderAFrozenGateway stops a gateway's process while the topic is made anew. Those who come to it with
// what another gateway has given them of the new topic are there before it has heard of that, and are not sent away for
// good: another gateway, or this one a moment later, serves them.
func TestTopicMadeAnewUnderAFrozenGateway(t *testing.T) {
	k := kafkatest.Shared(t)
	topic := kafkatest.TopicName(t)
	k.CreateTopic(t, topic, 1, nil)
	k.Produce(t, topic, paid(0, "old-1"), paid(0, "old-2"))
	frozen, other := startProcess(t, kafkaEnv(k, topic)...), startInstance(t, kafkaEnv(k, topic)...)
	frozen.awaitReady(t)
	other.awaitReady(t)
	signal := func(s syscall.Signal) {
		if err := frozen.process.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	signal(syscall.SIGSTOP)
	k.DeleteTopic(t, topic)
	k.CreateTopic(t, topic, 1, nil)
	k.Produce(t, topic, paid(0, "new-1"), paid(0, "new-2"))
	c := clienttest.DialGRPC(other.address)
	t.Cleanup(c.Close)
	var token string
	soon(t, "the other gateway has the new topic", func() error {
		list, err := c.List(t.Context(), &paymentpb.ListPaymentsRequest{Limit: 1})
		if err != nil {
			return err
		}
		if p := list.GetPayments(); len(p) == 0 || !strings.HasPrefix(p[0].GetId(), "new") {
			return fmt.Errorf("it has %v", p)
		}
		token = list.GetNextCursor()
		return nil
	})

	const clients = 20
	statuses := make([]int, clients)
	page := "http://" + frozen.address + "/payments?limit=1&cursor=" + token
	var asked sync.WaitGroup
	for i := range clients {
		asked.Go(func() {
			statuses[i], _, _ = tryFetch(page) // 0 where it has begun anew meanwhile
		})
	}
	time.Sleep(200 * time.Millisecond) // the requests get into the frozen gateway's sockets
	signal(syscall.SIGCONT)
	asked.Wait()
	answers := map[int]int{}
	for _, status := range statuses {
		answers[status]++
	}
	if unheard := answers[http.StatusServiceUnavailable] + answers[http.StatusOK]; unheard == 0 || answers[http.StatusBadRequest] > 0 {
		t.Errorf("statuses %v (0 is none), want only %d and %d", answers, http.StatusServiceUnavailable, http.StatusOK)
	}
	soon(t, "it has the new topic, too", func() error {
		status, text, err := tryFetch(page)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("status %d: %s", status, text)
		}
		return err
	})
}
