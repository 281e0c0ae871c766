package server_test

import (
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	paymentpb "paystream/gen/payment"
	"paystream/internal/clienttest"
)

func TestRefusedStreams(t *testing.T) {
	t.Parallel()
	foreign := start(t, func(s *settings) { s.topicID = 9 })
	g := start(t, func(s *settings) { s.limits.Records = 10 })
	g.publishIDs(t, 0, ids("p", 20)...)
	rpc := clienttest.DialGRPC(g.address)
	defer rpc.Close()
	list, err := rpc.List(t.Context(), &paymentpb.ListPaymentsRequest{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	other := clienttest.DialGRPC(foreign.address)
	defer other.Close()
	foreignList, err := other.List(t.Context(), &paymentpb.ListPaymentsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	flipped := []byte(list.GetStreamCursor())
	flipped[len(flipped)/2] ^= 1
	tests := []struct {
		name string
		req  *paymentpb.StreamPaymentsRequest
		code connect.Code
		says string
	}{
		{"a malformed cursor", &paymentpb.StreamPaymentsRequest{Cursor: "?"}, connect.CodeInvalidArgument, "malformed"},
		{"a cursor cut short", &paymentpb.StreamPaymentsRequest{Cursor: list.GetStreamCursor()[:20]}, connect.CodeInvalidArgument, "malformed"},
		{"a cursor with one letter wrong", &paymentpb.StreamPaymentsRequest{Cursor: string(flipped)}, connect.CodeInvalidArgument, "malformed"},
		{"a page token", &paymentpb.StreamPaymentsRequest{Cursor: list.GetNextCursor()}, connect.CodeInvalidArgument, "page token"},
		{"another topic's cursor", &paymentpb.StreamPaymentsRequest{Cursor: foreignList.GetStreamCursor()}, connect.CodeFailedPrecondition, "another topic"},
		{"a negative limit", &paymentpb.StreamPaymentsRequest{Limit: -1}, connect.CodeInvalidArgument, "limit"},
		{"a negative heartbeat", &paymentpb.StreamPaymentsRequest{Heartbeat: durationpb.New(-1)}, connect.CodeInvalidArgument, "heartbeat"},
		{"an unknown provider", &paymentpb.StreamPaymentsRequest{Provider: 99}, connect.CodeInvalidArgument, "provider 99"},
	}
	perProtocol(t, func(t *testing.T, dial func(*gateway) clienttest.Client) {
		c := dial(g)
		for _, test := range tests {
			err := refusal(t, c, test.req)
			if err.Code != test.code || !strings.Contains(err.Message, test.says) {
				t.Errorf("%s: %v, want %v and %q", test.name, err, test.code, test.says)
			}
		}
	})
}

// TestAnothersCursorWhileKafkaIsAway has a gateway that can not know whether the topic was made anew: a cursor of the new
// one would be good at every other gateway, so it is not refused for good.
func TestAnothersCursorWhileKafkaIsAway(t *testing.T) {
	t.Parallel()
	foreign := start(t, func(s *settings) { s.topicID = 9 })
	foreign.publishIDs(t, 0, "p-0", "p-1")
	rpc := clienttest.DialGRPC(foreign.address)
	defer rpc.Close()
	list, err := rpc.List(t.Context(), &paymentpb.ListPaymentsRequest{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	perProtocol(t, func(t *testing.T, dial func(*gateway) clienttest.Client) {
		g := start(t)
		c := dial(g)
		for _, test := range []struct {
			away  bool
			code  connect.Code
			says  string
			retry bool
		}{
			{true, connect.CodeUnavailable, "made anew", true},
			{false, connect.CodeFailedPrecondition, "another topic", false},
		} {
			g.source.setAway(test.away)
			_, page := c.List(t.Context(), &paymentpb.ListPaymentsRequest{Limit: 1, Cursor: list.GetNextCursor()})
			for what, err := range map[string]*clienttest.EndedError{
				"stream": refusal(t, c, &paymentpb.StreamPaymentsRequest{Cursor: list.GetStreamCursor()}),
				"list":   failure(t, page),
			} {
				if err.Code != test.code || !strings.Contains(err.Message, test.says) || err.Retry != test.retry {
					t.Errorf("%s, Kafka away %t: %+v, want %v, %q, retry %t", what, test.away, err, test.code, test.says, test.retry)
				}
			}
		}
	})
}

// refusal opens a stream that fails, at once or by its first message.
func refusal(t *testing.T, c clienttest.Client, req *paymentpb.StreamPaymentsRequest) *clienttest.EndedError {
	t.Helper()
	stream, err := c.Open(t.Context(), req)
	if err == nil {
		defer stream.Close()
		_, err = stream.Next()
	}
	return failure(t, err)
}

func TestNotReady(t *testing.T) {
	t.Parallel()
	perProtocol(t, func(t *testing.T, dial func(*gateway) clienttest.Client) {
		g := start(t)
		reason := "waiting for Kafka at kafka:9092"
		g.source.reason.Store(&reason)
		c := dial(g)
		check := func(what string, err *clienttest.EndedError) {
			if err.Code != connect.CodeUnavailable || !strings.Contains(err.Message, reason) || !err.Retry {
				t.Errorf("%s: %+v, want Unavailable with the reason and a retry delay", what, err)
			}
		}
		check("stream", refusal(t, c, &paymentpb.StreamPaymentsRequest{}))
		_, err := c.Get(t.Context(), "a")
		check("get", failure(t, err))
		_, err = c.List(t.Context(), &paymentpb.ListPaymentsRequest{})
		check("list", failure(t, err))
	})
}

func TestMaxSubscribers(t *testing.T) {
	t.Parallel()
	perProtocol(t, func(t *testing.T, dial func(*gateway) clienttest.Client) {
		g := start(t, func(s *settings) { s.MaxSubscribers = 2 })
		c := dial(g)
		first := open(t, c, &paymentpb.StreamPaymentsRequest{})
		open(t, c, &paymentpb.StreamPaymentsRequest{})
		if err := refusal(t, c, &paymentpb.StreamPaymentsRequest{}); err.Code != connect.CodeResourceExhausted || !err.Retry {
			t.Errorf("%+v, want ResourceExhausted and a retry delay", err)
		}
		first.Close()
		eventually(t, "there is room again", func() bool { return g.Subscribers() == 1 })
		open(t, c, &paymentpb.StreamPaymentsRequest{})
	})
}
