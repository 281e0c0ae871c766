//go:build kafka

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/twmb/franz-go/pkg/kgo"

	paymentpb "paystream/gen/payment"
	"paystream/internal/clienttest"
	"paystream/internal/kafkatest"
)

// TestSIGTERMEndsStreamsWithTheirCursor stops a gateway whose subscribers are behind it: every one is
// told where it is to go on, and the next gateway gives it just what follows.
func TestSIGTERMEndsStreamsWithTheirCursor(t *testing.T) {
	w := newTurmoil(t, kafkatest.Shared(t))
	w.round(t)
	w.plain.Produce(t, w.topic, bulk(100)...)
	w.round(t)
	first := startProcess(t, kafkaEnv(w.k, w.topic)...)
	first.awaitReady(t)
	cursor := first.beginning(t)
	protocols := clienttest.Protocols()
	results, ctx := make(chan drained, len(protocols)), patiently(t)
	stopped := make(chan struct{})
	for _, p := range protocols {
		go func() { results <- drain(ctx, p, first.address, cursor, stopped) }()
	}
	soon(t, "all have joined", func() error {
		if n := int(first.metric(t, "paystream_subscribers")); n < len(protocols) {
			return fmt.Errorf("%d of %d", n, len(protocols))
		}
		return nil
	})
	time.Sleep(200 * time.Millisecond) // the buffers fill
	first.stop()
	soon(t, "it takes nobody any more", func() error {
		conn, err := net.Dial("tcp", first.address)
		if err != nil {
			return nil //nolint:nilerr // as wanted
		}
		conn.Close()
		return errors.New("connected")
	})
	close(stopped)
	first.awaitEnd(t)
	if first.err != nil {
		t.Errorf("the gateway ended with %v, want exit code 0", first.err)
	}

	second := startProcess(t, kafkaEnv(w.k, w.topic)...)
	second.awaitReady(t)
	h := w.history(t)
	for range protocols {
		d := <-results
		if d.end == nil || d.end.Code != connect.CodeUnavailable || d.end.End.GetCursor() == "" || !d.end.Retry {
			t.Errorf("%s: ended with %v, want Unavailable, a cursor and a delay", d.protocol.Name, d.err)
			continue
		}
		left := h.begin()
		for _, at := range d.read {
			if err := left.take(at.Partition, at.Offset); err != nil {
				t.Fatalf("%s: %v", d.protocol.Name, err)
			}
		}
		if len(d.read) == 0 || left.len() == 0 {
			t.Errorf("%s: %d read before and %d left: this shows little", d.protocol.Name, len(d.read), left.len())
		}
		if err := left.readFrom(patiently(t), d.protocol, second, d.end.End.GetCursor()); err != nil {
			t.Fatalf("%s, behind %d: %v", d.protocol.Name, len(d.read), err)
		}
	}
}

// drained is what a subscriber had when its gateway stopped.
type drained struct {
	protocol clienttest.Protocol
	read     []place
	err      error
	end      *clienttest.EndedError // err, if it is one
}

// drain reads a little, and on to the end when the gateway stops.
func drain(ctx context.Context, p clienttest.Protocol, address, cursor string, stopped chan struct{}) (d drained) {
	d.protocol = p
	c := p.Dial(address, clienttest.SmallBuffers)
	defer c.Close()
	s, err := c.Open(ctx, &paymentpb.StreamPaymentsRequest{Cursor: cursor})
	if err != nil {
		d.err = err
		return d
	}
	defer s.Close()
	for {
		m, err := s.NextMessage()
		var at place
		if err == nil {
			at.Partition, at.Offset, err = m.Place()
		}
		if err != nil {
			d.err = err
			d.end, _ = errors.AsType[*clienttest.EndedError](err)
			return d
		}
		d.read = append(d.read, at)
		if len(d.read) == 10 {
			<-stopped
		}
	}
}

// TestStalledSubscriberHoldsTheDrain has one that takes nothing, which is waited for: as long as
// DRAIN_TIMEOUT says, or until a second signal.
func TestStalledSubscriberHoldsTheDrain(t *testing.T) {
	k := kafkatest.Shared(t)
	topic := kafkatest.TopicName(t)
	k.CreateTopic(t, topic, 1, nil)
	k.Produce(t, topic, bulk(100)...)

	for _, tt := range []struct {
		name    string
		timeout string
		signals int
		code    int // -1 is by the signal
	}{
		{"until the drain's time is over", "1s", 1, 0},
		{"until a second signal", "60s", 2, -1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := startProcess(t, append(kafkaEnv(k, topic), "DRAIN_TIMEOUT="+tt.timeout)...)
			i.awaitReady(t)
			stalled, err := net.Dial("tcp", i.address)
			if err != nil {
				t.Fatal(err)
			}
			defer stalled.Close()
			fmt.Fprintf(stalled, "GET /payments/stream HTTP/1.1\r\nHost: %s\r\n\r\n", i.address)
			soon(t, "it has joined", func() error {
				if i.metric(t, "paystream_subscribers") == 0 {
					return errors.New("no subscriber")
				}
				return nil
			})
			time.Sleep(200 * time.Millisecond) // the buffers fill
			begin := time.Now()
			for n := range tt.signals {
				if n > 0 {
					time.Sleep(500 * time.Millisecond)
				}
				select {
				case <-i.ended:
					t.Fatalf("ended with %v before signal %d: nothing held it", i.err, n+1)
				default:
				}
				i.stop()
			}
			i.awaitEnd(t)
			if took := time.Since(begin); took < 500*time.Millisecond || took > 3*time.Second {
				t.Errorf("the end took %v", took)
			}
			code := 0
			if exit, ok := errors.AsType[*exec.ExitError](i.err); ok {
				code = exit.ExitCode()
				if status := exit.Sys().(syscall.WaitStatus); tt.code == -1 && status.Signal() != syscall.SIGTERM {
					t.Errorf("ended by %v, want SIGTERM", status.Signal())
				}
			}
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
		})
	}
}

// bulk returns payments of 200 kB each in partition 0: a hundred are more than all buffers between a
// gateway and a client.
func bulk(n int) []*kgo.Record {
	filler := strings.Repeat("x", 200_000)
	var records []*kgo.Record
	for i := range n {
		id := fmt.Sprint("pay-bulk-", i)
		records = append(records, &kgo.Record{Key: []byte(id), Value: fmt.Appendf(nil,
			`{"id":%q,"amount":"1","currency":"EUR","metadata":{"filler":%q}}`, id, filler)})
	}
	return records
}
