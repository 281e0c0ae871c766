//go:build kafka

package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"

	paymentpb "paystream/gen/payment"
	"paystream/internal/clienttest"
	"paystream/internal/kafkatest"
)

// seeded returns a source of chance that can be repeated.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// startTwo starts a gateway that reads what prepare and then change write while it comes, and one
// that finds all of it there, so that each has another order of partitions.
func startTwo(t *testing.T, env []string, prepare, change func()) [2]*instance {
	t.Helper()
	prepare()
	one := startInstance(t, env...)
	one.awaitReady(t)
	change()
	two := startInstance(t, env...)
	two.awaitReady(t)
	return [2]*instance{one, two}
}

// TestResumeOnAnotherGateway breaks off one gateway at random points and goes on with another: no
// payment is missing, none comes twice.
func TestResumeOnAnotherGateway(t *testing.T) {
	k := kafkatest.Shared(t)
	leaveNothing(t)
	w := newTurmoil(t, k)
	chance := seeded(t)
	rounds := func(n int) func() {
		return func() {
			for range n {
				w.round(t)
			}
		}
	}
	gateways := startTwo(t, kafkaEnv(w.k, w.topic), rounds(2), rounds(6))
	h := w.history(t)
	var orders [2][]*paymentpb.PaymentEvent
	for i, g := range gateways {
		g.awaitCurrent(t, w)
		s := g.open(t, g.beginning(t))
		for range h.len() {
			event, err := s.Next()
			if err != nil {
				t.Fatal(err)
			}
			orders[i] = append(orders[i], event)
		}
	}
	samePlace := func(a, b *paymentpb.PaymentEvent) bool {
		return a.GetPartition() == b.GetPartition() && a.GetOffset() == b.GetOffset()
	}
	if slices.EqualFunc(orders[0], orders[1], samePlace) {
		t.Error("both gateways have the partitions in one order: this shows little")
	}
	protocols := clienttest.Protocols()
	for n := range 120 {
		from, read := n%2, 1+chance.IntN(h.len())
		p := protocols[n%len(protocols)]
		left := h.begin()
		for _, event := range orders[from][:read] {
			if err := left.take(event.GetPartition(), event.GetOffset()); err != nil {
				t.Fatal(err)
			}
		}
		if err := left.readFrom(patiently(t), p, gateways[1-from], orders[from][read-1].GetCursor()); err != nil {
			t.Fatalf("%s, behind %d of %d of gateway %d: %v", p.Name, read, h.len(), from, err)
		}
	}
}

// readFrom reads the rest from a gateway.
func (r *rest) readFrom(ctx context.Context, p clienttest.Protocol, i *instance, cursor string) error {
	c := p.Dial(i.address)
	defer c.Close()
	s, err := c.Open(ctx, &paymentpb.StreamPaymentsRequest{Cursor: cursor})
	if err != nil {
		return err
	}
	defer s.Close()
	return r.readAll(s)
}

// TestHopBetweenGateways changes the gateway after every few payments, while payments come.
func TestHopBetweenGateways(t *testing.T) {
	k := kafkatest.Shared(t)
	leaveNothing(t)
	w := newTurmoil(t, k)
	chance := seeded(t)
	gateways := startTwo(t, kafkaEnv(w.k, w.topic), func() { w.round(t) }, func() { w.round(t) })
	got, ctx := make(chan history, 1), patiently(t)
	cursor := gateways[0].beginning(t)
	var hopErr error
	hops := 0
	go func() {
		var h history
		h, hops, hopErr = hop(ctx, gateways, cursor, chance)
		got <- h
	}()
	for range 10 {
		w.round(t)
	}
	for p := range int32(turmoilPartitions) {
		w.plain.Produce(t, w.topic, paid(p, lastID))
	}
	h := <-got
	if hopErr != nil {
		t.Fatal(hopErr)
	}
	if diff := cmp.Diff(w.history(t), h); diff != "" {
		t.Errorf("offsets by partition (-Kafka's +read):\n%s", diff)
	}
	t.Logf("%d payments in %d hops", h.len(), hops)
}

const lastID = "pay-last"

// hop reads until the last payment of every partition has come.
func hop(ctx context.Context, gateways [2]*instance, cursor string, chance *rand.Rand) (h history, hops int, err error) {
	h = make(history, turmoilPartitions)
	protocols := clienttest.Protocols()
	for lasts := 0; lasts < turmoilPartitions; hops++ {
		c := protocols[chance.IntN(len(protocols))].Dial(gateways[hops%2].address)
		s, err := c.Open(ctx, &paymentpb.StreamPaymentsRequest{Cursor: cursor})
		if err != nil {
			return h, hops, err
		}
		for n := 1 + chance.IntN(20); n > 0 && lasts < turmoilPartitions; n-- {
			event, err := s.Next()
			if err != nil {
				return h, hops, err
			}
			h[event.GetPartition()] = append(h[event.GetPartition()], event.GetOffset())
			cursor = event.GetCursor()
			if event.GetPayment().GetId() == lastID {
				lasts++
			}
		}
		s.Close()
		c.Close()
	}
	return h, hops, nil
}

// TestPagesOfTwoGateways walks through ListPayments' pages, each on the other gateway, while every
// kind of change goes on: each payment of the first page's moment comes once, as it was then.
func TestPagesOfTwoGateways(t *testing.T) {
	k := kafkatest.Shared(t)
	leaveNothing(t)
	w := newTurmoil(t, k)
	chance := seeded(t)
	gateways := startTwo(t, kafkaEnv(w.k, w.topic), func() { w.round(t) }, func() { w.round(t); w.round(t) })
	for _, p := range clienttest.Protocols() {
		t.Run(p.Name, func(t *testing.T) {
			for _, g := range gateways {
				g.awaitCurrent(t, w)
			}
			want, got := w.states(t), map[string]string{}
			clients := [2]clienttest.Client{p.Dial(gateways[0].address), p.Dial(gateways[1].address)}
			defer clients[0].Close()
			defer clients[1].Close()
			req := &paymentpb.ListPaymentsRequest{Limit: int32(10 + chance.IntN(10))}
			for page := 0; ; page++ {
				list := listPage(t, clients[page%2], req)
				if int(list.GetTotalCount()) != len(want) {
					t.Errorf("page %d: total %d, want %d", page, list.GetTotalCount(), len(want))
				}
				for _, p := range list.GetPayments() {
					if _, twice := got[p.GetId()]; twice {
						t.Errorf("page %d: %s for the second time", page, p.GetId())
					}
					got[p.GetId()] = p.GetMetadata()["number"]
				}
				if req.Cursor = list.GetNextCursor(); req.Cursor == "" {
					break
				}
				w.change(t, chance)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("payments (-Kafka's +the walk's):\n%s", diff)
			}
		})
	}
}

// listPage asks for a page, again while the gateway lags behind the one before.
func listPage(t *testing.T, c clienttest.Client, req *paymentpb.ListPaymentsRequest) *paymentpb.PaymentList {
	t.Helper()
	var list *paymentpb.PaymentList
	soon(t, "the page comes", func() (err error) {
		list, err = c.List(t.Context(), req)
		end, ok := errors.AsType[*clienttest.EndedError](err)
		if err != nil && (!ok || end.Code != connect.CodeUnavailable) {
			t.Fatal(err)
		}
		return err
	})
	return list
}
