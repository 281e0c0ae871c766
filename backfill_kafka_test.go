//go:build kafka

package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	paymentpb "paystream/gen/payment"
	"paystream/internal/clienttest"
	"paystream/internal/kafkatest"
)

// everything asks for all that Kafka has.
func everything() *paymentpb.StreamPaymentsRequest {
	return &paymentpb.StreamPaymentsRequest{Since: timestamppb.New(time.Unix(0, 0))}
}

// TestBackfill asks a gateway that retains next to nothing for everything, over every protocol, while payments come.
func TestBackfill(t *testing.T) {
	for _, isolation := range []string{"read_committed", "read_uncommitted"} {
		t.Run(isolation, func(t *testing.T) {
			w := newTurmoil(t, kafkatest.Shared(t))
			for range 8 {
				w.round(t)
			}
			g := startInstance(t, append(kafkaEnv(w.k, w.topic), "RETAIN_PAYMENTS=20", "KAFKA_ISOLATION_LEVEL="+isolation)...)
			g.awaitReady(t)
			ctx := patiently(t)
			var streams []clienttest.Stream
			for _, p := range clienttest.Protocols() {
				c := p.Dial(g.address)
				t.Cleanup(c.Close)
				s, err := c.Open(ctx, everything())
				if err != nil {
					t.Fatalf("%s: %v", p.Name, err)
				}
				t.Cleanup(s.Close)
				streams = append(streams, s)
			}
			for range 4 {
				w.round(t)
			}
			h := w.history(t)
			if isolation == "read_uncommitted" {
				h = w.all(t)
			}
			for i, s := range streams {
				if err := h.begin().readAll(s); err != nil {
					t.Errorf("%s: %v", clienttest.Protocols()[i].Name, err)
				}
			}
			if n := g.metric(t, "paystream_backfill_payments_total"); n < float64(h.len())/2 {
				t.Errorf("%v payments came from Kafka: this shows little", n)
			}
			w.round(t)
			more := w.history(t)
			if isolation == "read_uncommitted" {
				more = w.all(t)
			}
			rest := more.begin()
			for p := range rest.done {
				rest.done[p] = len(h[p])
			}
			if err := rest.readAll(streams[0]); err != nil {
				t.Errorf("live: %v", err)
			}
			soon(t, "all read the log again", func() error {
				if n := g.metric(t, "paystream_backfill_readers"); n > 0 {
					return fmt.Errorf("%v backfills are under way", n)
				}
				return nil
			})
		})
	}
}

// TestGapOnKafka deletes what a client has not seen: it is told so, and goes on behind it.
func TestGapOnKafka(t *testing.T) {
	w := newTurmoil(t, kafkatest.Shared(t))
	for range 4 {
		w.round(t)
	}
	g := startInstance(t, append(kafkaEnv(w.k, w.topic), "RETAIN_PAYMENTS=20")...)
	g.awaitReady(t)
	h := w.history(t)
	c := clienttest.DialGRPC(g.address)
	t.Cleanup(c.Close)
	first, err := c.Open(patiently(t), everything())
	if err != nil {
		t.Fatal(err)
	}
	cursor := first.FirstCursor()
	first.Close()
	var want []*paymentpb.StreamEnd_Gap
	left := h.begin()
	for p := range int32(turmoilPartitions) {
		at := h[p][10]
		w.k.DeleteRecords(t, w.topic, p, at)
		left.done[p] = 10
		want = append(want, &paymentpb.StreamEnd_Gap{Partition: p, From: 0, To: at})
	}
	_, err = g.open(t, cursor).Next()
	end, ok := errors.AsType[*clienttest.EndedError](err)
	if !ok || end.Code != connect.CodeDataLoss {
		t.Fatalf("%v, want DataLoss", err)
	}
	gaps := end.End.GetGaps()
	if diff := cmp.Diff(want, sortedGaps(gaps), protocmp.Transform()); diff != "" {
		t.Errorf("gaps (-want +got):\n%s", diff)
	}
	if err := left.readAll(g.open(t, end.End.GetCursor())); err != nil {
		t.Errorf("behind the gaps: %v", err)
	}
}

func sortedGaps(gaps []*paymentpb.StreamEnd_Gap) []*paymentpb.StreamEnd_Gap {
	slices.SortFunc(gaps, func(a, b *paymentpb.StreamEnd_Gap) int { return int(a.GetPartition() - b.GetPartition()) })
	return gaps
}

// all is the offsets of all payments, those of aborted transactions too.
func (w *turmoil) all(t *testing.T) history {
	t.Helper()
	h := make(history, turmoilPartitions)
	for _, r := range w.k.Read(t, w.topic, false) {
		if strings.HasPrefix(string(r.Value), `{"id":"pay`) {
			h[r.Partition] = append(h[r.Partition], r.Offset)
		}
	}
	return h
}
