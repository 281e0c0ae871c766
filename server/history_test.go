package server_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"paystream/broadcast"
	paymentpb "paystream/gen/payment"
	"paystream/internal/clienttest"
)

// withWindow retains so few records.
func withWindow(records int) func(*settings) {
	return func(s *settings) { s.limits.Records = records }
}

func TestCursorFromBeforeTheWindow(t *testing.T) {
	t.Parallel()
	old := oldCursor(t)
	perProtocol(t, func(t *testing.T, dial func(*gateway) clienttest.Client) {
		g := start(t, withWindow(10))
		g.publishIDs(t, 0, ids("p", 20)...)
		stream := open(t, dial(g), &paymentpb.StreamPaymentsRequest{Cursor: old})
		got, _ := take(t, stream, 19)
		same(t, "what it missed", as("new", ids("p", 20)[1:]...), got)
		g.publishIDs(t, 1, "live")
		got, last := take(t, stream, 1)
		same(t, "live", as("new", "live"), got)
		g.publishIDs(t, 1, "on")
		got, _ = take(t, stream, 1)
		same(t, "live", as("new", "on"), got)
		eventually(t, "it reads the log again", func() bool { return g.source.open() == 0 })

		g.publishIDs(t, 0, ids("q", 20)...)
		g.publishIDs(t, 2, "z")
		got, _ = take(t, open(t, dial(g), &paymentpb.StreamPaymentsRequest{Cursor: last.GetCursor()}), 22)
		slices.Sort(got) // partitions may come in any order
		same(t, "from a backfill's cursor", as("new", append(sorted(ids("q", 20)), "z")...), got[1:])
	})
}

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}

func TestBackfillObeysFilters(t *testing.T) {
	t.Parallel()
	old := oldCursor(t)
	perProtocol(t, func(t *testing.T, dial func(*gateway) clienttest.Client) {
		g := start(t, withWindow(5))
		g.publishIDs(t, 0, ids("p", 9)...)
		g.publish(t, 0, sample("wanted", paymentpb.Provider_PROVIDER_PAYPAL, paymentpb.PaymentStatus_STATUS_FAILED))
		g.publishIDs(t, 0, ids("q", 9)...)
		stream := open(t, dial(g), &paymentpb.StreamPaymentsRequest{Cursor: old, Provider: paymentpb.Provider_PROVIDER_PAYPAL})
		got, _ := take(t, stream, 1)
		same(t, "of PayPal", as("new", "wanted"), got)
		eventually(t, "it reads the log again", func() bool { return g.source.open() == 0 })
		g.publish(t, 0, sample("later", paymentpb.Provider_PROVIDER_PAYPAL, paymentpb.PaymentStatus_STATUS_FAILED))
		got, _ = take(t, stream, 1)
		same(t, "of PayPal", as("new", "later"), got)
	})
}

func TestSince(t *testing.T) {
	t.Parallel()
	perProtocol(t, func(t *testing.T, dial func(*gateway) clienttest.Client) {
		g := start(t, withWindow(5))
		g.publishIDs(t, 0, ids("p", 20)...)
		at := func(offset int64) *timestamppb.Timestamp {
			return timestamppb.New(time.UnixMilli(1_700_000_001_000 + offset))
		}
		for name, test := range map[string]struct {
			since *timestamppb.Timestamp
			want  []string
		}{
			"before the window": {at(3), ids("p", 20)[3:]},
			"within the window": {at(17), ids("p", 20)[17:]},
		} {
			got, _ := take(t, open(t, dial(g), &paymentpb.StreamPaymentsRequest{Since: test.since, Limit: 1}), len(test.want))
			same(t, name, as("new", test.want...), got)
		}
		err := refusal(t, dial(g), &paymentpb.StreamPaymentsRequest{Since: timestamppb.New(time.Unix(-1, 0))})
		if err.Code != connect.CodeUnavailable || strings.Contains(err.Message, "secret") {
			t.Errorf("Kafka can not be asked: %v", err)
		}
	})
}

func TestGapEndsTheStream(t *testing.T) {
	t.Parallel()
	old := oldCursor(t)
	perProtocol(t, func(t *testing.T, dial func(*gateway) clienttest.Client) {
		g := start(t, withWindow(5))
		g.publishIDs(t, 0, ids("p", 20)...)
		g.source.lost = broadcast.Vector{7}
		c := dial(g)
		end := refusal(t, c, &paymentpb.StreamPaymentsRequest{Cursor: old})
		if end.Code != connect.CodeDataLoss {
			t.Fatalf("%v, want DataLoss", end)
		}
		same(t, "gaps", []*paymentpb.StreamEnd_Gap{{Partition: 0, From: 1, To: 7}}, end.End.GetGaps())
		got, _ := take(t, open(t, c, &paymentpb.StreamPaymentsRequest{Cursor: end.End.GetCursor()}), 13)
		same(t, "from where it can go on", as("new", ids("p", 20)[7:]...), got)

		live := open(t, c, &paymentpb.StreamPaymentsRequest{Start: paymentpb.StreamStart_START_NEW_ONLY})
		eventually(t, "both streams run", func() bool { return g.Subscribers() >= 1 })
		g.publishIDs(t, 0, "before")
		g.log.Gap(1, 3) // met by the gateway itself
		take(t, live, 1)
		_, err := live.Next()
		end = failure(t, err)
		same(t, "a live gap", []*paymentpb.StreamEnd_Gap{{Partition: 1, From: 0, To: 3}}, end.End.GetGaps())
	})
}

// TestTakenBack: Kafka has gone back behind what the reader has seen. It is told so, and goes on with what Kafka has
// there now. What it has seen of the new leader's is its to keep.
func TestTakenBack(t *testing.T) {
	t.Parallel()
	perProtocol(t, func(t *testing.T, dial func(*gateway) clienttest.Client) {
		before := start(t)
		before.publishIDs(t, 0, ids("p", 20)...)
		_, last := take(t, open(t, dial(before), &paymentpb.StreamPaymentsRequest{}), 20)
		old := last.GetCursor()

		g := start(t)
		g.source.epoch.Store(1)
		g.source.ends = map[int32]int64{0: 15}
		g.publishIDs(t, 0, append(ids("p", 15), ids("new", 10)...)...)
		c := dial(g)
		end := refusal(t, c, &paymentpb.StreamPaymentsRequest{Cursor: old})
		if end.Code != connect.CodeDataLoss {
			t.Fatalf("%v, want DataLoss", end)
		}
		same(t, "gaps", []*paymentpb.StreamEnd_Gap{{Partition: 0, From: 20, To: 15}}, end.End.GetGaps())
		got, last := take(t, open(t, c, &paymentpb.StreamPaymentsRequest{Cursor: end.End.GetCursor()}), 10)
		same(t, "what Kafka has there now", as("new", ids("new", 10)...), got)

		g.publishIDs(t, 0, "on")
		got, _ = take(t, open(t, c, &paymentpb.StreamPaymentsRequest{Cursor: last.GetCursor()}), 1)
		same(t, "of the new leader's", as("new", "on"), got)
	})
}

// TestTakenBackAheadOfTheLog: a stream comes from a gateway that has read farther. What that has read is taken back
// before this one reads it, and others come in its place.
func TestTakenBackAheadOfTheLog(t *testing.T) {
	t.Parallel()
	perProtocol(t, func(t *testing.T, dial func(*gateway) clienttest.Client) {
		ahead := start(t)
		ahead.publishIDs(t, 0, ids("p", 20)...)
		_, last := take(t, open(t, dial(ahead), &paymentpb.StreamPaymentsRequest{}), 20)

		g := start(t)
		g.publishIDs(t, 0, ids("p", 10)...)
		c := dial(g)
		stream := open(t, c, &paymentpb.StreamPaymentsRequest{Cursor: last.GetCursor()})
		g.publishIDs(t, 1, "other")
		got, other := take(t, stream, 1) // what this partition has is not held up
		same(t, "of the other partition", as("new", "other"), got)

		g.source.setEnds(map[int32]int64{0: 15})
		g.source.epoch.Store(1)
		g.publishIDs(t, 0, append(ids("p", 15)[10:], ids("new", 10)...)...)
		_, err := stream.Next()
		end := failure(t, err)
		if end.Code != connect.CodeDataLoss {
			t.Fatalf("%v, want DataLoss", end)
		}
		want := []*paymentpb.StreamEnd_Gap{{Partition: 0, From: 20, To: 15}}
		same(t, "gaps", want, end.End.GetGaps())
		for name, cursor := range map[string]string{"of before": last.GetCursor(), "of its own frames": other.GetCursor()} {
			again := refusal(t, c, &paymentpb.StreamPaymentsRequest{Cursor: cursor})
			same(t, "gaps, from a cursor "+name, want, again.End.GetGaps())
		}
		got, _ = take(t, open(t, c, &paymentpb.StreamPaymentsRequest{Cursor: end.End.GetCursor()}), 10)
		same(t, "what Kafka has there now", as("new", ids("new", 10)...), got)
	})
}

// TestCursorThatCanNotBeChecked: the stream waits, with its own cursor, until Kafka can be asked.
func TestCursorThatCanNotBeChecked(t *testing.T) {
	t.Parallel()
	old := oldCursor(t)
	perProtocol(t, func(t *testing.T, dial func(*gateway) clienttest.Client) {
		g := start(t)
		g.source.setAway(true)
		g.publishIDs(t, 0, ids("p", 5)...)
		stream := open(t, dial(g), &paymentpb.StreamPaymentsRequest{Cursor: old, Heartbeat: durationpb.New(100 * time.Millisecond)})
		for range 3 {
			takeHeartbeat(t, stream, old)
		}
		g.source.setAway(false)
		takePastHeartbeats(t, stream, ids("p", 5)[1:])
	})
}

// takeHeartbeat takes one with the cursor that the stream came with.
func takeHeartbeat(t *testing.T, stream clienttest.Stream, cursor string) {
	t.Helper()
	event, err := stream.Next()
	if err != nil || event.GetEventType() != "heartbeat" || event.GetCursor() != cursor {
		t.Fatalf("%v, %v; want a heartbeat with the cursor that it came with", event, err)
	}
}

// takePastHeartbeats takes payments, in this order.
func takePastHeartbeats(t *testing.T, stream clienttest.Stream, want []string) {
	t.Helper()
	for len(want) > 0 {
		event, err := stream.Next()
		if err != nil {
			t.Fatal(err)
		}
		if event.GetEventType() == "heartbeat" {
			continue
		}
		if event.GetPayment().GetId() != want[0] {
			t.Fatalf("got %s, want %s", event.GetPayment().GetId(), want[0])
		}
		want = want[1:]
	}
}

func TestBackfillWaitsForItsTurn(t *testing.T) {
	t.Parallel()
	old := oldCursor(t)
	perProtocol(t, func(t *testing.T, dial func(*gateway) clienttest.Client) {
		g := start(t, withWindow(10))
		g.publishIDs(t, 0, ids("p", 20)...)
		g.source.held = true
		stream := open(t, dial(g), &paymentpb.StreamPaymentsRequest{Cursor: old, Heartbeat: durationpb.New(100 * time.Millisecond)})
		takeHeartbeat(t, stream, old)
		g.source.release()
		takePastHeartbeats(t, stream, ids("p", 20)[1:])
	})
}

// TestAnothersTurn takes the backfill away, again and again, from a stream that never comes near the log.
func TestAnothersTurn(t *testing.T) {
	t.Parallel()
	old := oldCursor(t)
	perProtocol(t, func(t *testing.T, dial func(*gateway) clienttest.Client) {
		g := start(t, withWindow(10))
		g.publishIDs(t, 0, ids("p", 20)...)
		stream := open(t, dial(g), &paymentpb.StreamPaymentsRequest{Cursor: old})
		want := ids("p", 20)[1:]
		for round := range 20 {
			got, _ := take(t, stream, len(want))
			same(t, fmt.Sprint("round ", round), as("new", want...), got)
			g.source.end()
			want = ids(fmt.Sprint("r", round), 20)
			g.publishIDs(t, 0, want...)
		}
	})
}

// TestDrainWhileWaiting: a stream that waits for its turn ends with the cursor that it came with.
func TestDrainWhileWaiting(t *testing.T) {
	t.Parallel()
	old := oldCursor(t)
	perProtocol(t, func(t *testing.T, dial func(*gateway) clienttest.Client) {
		g := start(t, withWindow(10))
		g.publishIDs(t, 0, ids("p", 20)...)
		g.source.held = true
		stream := open(t, dial(g), &paymentpb.StreamPaymentsRequest{Cursor: old})
		eventually(t, "it waits", func() bool { return g.source.open() == 1 })
		go g.stop()
		_, err := stream.Next()
		if end := failure(t, err); end.End.GetCursor() != old {
			t.Errorf("ended with %v, want the cursor that it came with", end)
		}
		eventually(t, "it has left", func() bool { return g.source.open() == 0 })
	})
}

// TestFewCursorsOfManyPartitions: with more than 16 partitions not every event has a cursor, and an older one serves
// as well.
func TestFewCursorsOfManyPartitions(t *testing.T) {
	t.Parallel()
	perProtocol(t, func(t *testing.T, dial func(*gateway) clienttest.Client) {
		g := start(t, func(s *settings) { s.partitions = 20 })
		for i := range 100 {
			g.publishIDs(t, int32(i%20), fmt.Sprint("p-", i))
		}
		c := dial(g)
		stream := open(t, c, &paymentpb.StreamPaymentsRequest{Heartbeat: durationpb.New(100 * time.Millisecond)})
		cursor, cursors := "", 0
		for i := range 50 {
			_, event := take(t, stream, 1)
			if event.GetCursor() != "" {
				cursor, cursors = event.GetCursor(), cursors+1
			}
			if i == 0 && cursor == "" {
				t.Error("the first event has no cursor")
			}
		}
		if cursors != 2 {
			t.Errorf("%d of 50 events have a cursor, want 2", cursors)
		}
		seen := 0
		for resumed := open(t, c, &paymentpb.StreamPaymentsRequest{Cursor: cursor}); seen < 50; {
			_, event := take(t, resumed, 1)
			var n int
			if _, err := fmt.Sscanf(event.GetPayment().GetId(), "p-%d", &n); err != nil {
				t.Fatal(err)
			}
			if n >= 50 { // what is before is a repeat, told by its offset
				seen++
			}
		}
		for {
			if event, err := stream.Next(); err != nil || event.GetEventType() == "heartbeat" {
				if err != nil || event.GetCursor() == "" {
					t.Errorf("%v, %v; want a heartbeat with a cursor", event, err)
				}
				return
			}
		}
	})
}
