package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"paystream/gen/payment"
	"paystream/gen/payment/paymentpbconnect"
)

// A gateway answers each call with the next of its answers, and the last of them for ever.
type gateway struct {
	paymentpbconnect.UnimplementedPaymentServiceHandler
	answers []answer

	mu       sync.Mutex
	requests []*paymentpb.StreamPaymentsRequest
	times    []time.Time
}

type answer func(ctx context.Context, s *connect.ServerStream[paymentpb.PaymentEvent]) error

func (g *gateway) StreamPayments(ctx context.Context, req *connect.Request[paymentpb.StreamPaymentsRequest], s *connect.ServerStream[paymentpb.PaymentEvent]) error {
	g.mu.Lock()
	g.requests = append(g.requests, proto.CloneOf(req.Msg))
	g.times = append(g.times, time.Now())
	next := g.answers[min(len(g.requests), len(g.answers))-1]
	g.mu.Unlock()
	return next(ctx, s)
}

// cursors are those of the calls so far.
func (g *gateway) cursors() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var cursors []string
	for _, r := range g.requests {
		cursors = append(cursors, r.GetCursor())
	}
	return cursors
}

func (g *gateway) serveOn(t *testing.T, l net.Listener) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle(paymentpbconnect.NewPaymentServiceHandler(g))
	server := httptest.NewUnstartedServer(mux)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	if l != nil {
		server.Listener.Close()
		server.Listener = l
	}
	server.Start()
	t.Cleanup(server.Close)
	return server
}

// parts make an answer: what is sent, one after the other, and how it ends.
func parts(all ...answer) answer {
	return func(ctx context.Context, s *connect.ServerStream[paymentpb.PaymentEvent]) error {
		for _, part := range all {
			if err := part(ctx, s); err != nil {
				return err
			}
		}
		return nil
	}
}

func header(cursor string) answer {
	return func(_ context.Context, s *connect.ServerStream[paymentpb.PaymentEvent]) error {
		s.ResponseHeader().Set("Paystream-Cursor", cursor)
		return s.Send(nil)
	}
}

// event sends a payment whose id and cursor name its place.
func event(partition int32, offset int64) answer {
	place := fmt.Sprintf("%d-%d", partition, offset)
	return func(_ context.Context, s *connect.ServerStream[paymentpb.PaymentEvent]) error {
		return s.Send(&paymentpb.PaymentEvent{
			Payment: &paymentpb.Payment{
				Id: "pay_" + place, Provider: paymentpb.Provider_PROVIDER_STRIPE, Status: paymentpb.PaymentStatus_STATUS_COMPLETED,
				Amount: 50, AmountMinor: proto.Int64(5000), Currency: "USD",
			},
			EventType: "new", Partition: partition, Offset: offset, Cursor: "after-" + place,
		})
	}
}

func heartbeat(cursor string) answer {
	return func(_ context.Context, s *connect.ServerStream[paymentpb.PaymentEvent]) error {
		return s.Send(&paymentpb.PaymentEvent{EventType: "heartbeat", Cursor: cursor})
	}
}

func wait(d time.Duration) answer {
	return func(ctx context.Context, _ *connect.ServerStream[paymentpb.PaymentEvent]) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func fail(code connect.Code, details ...proto.Message) answer {
	return func(context.Context, *connect.ServerStream[paymentpb.PaymentEvent]) error {
		err := connect.NewError(code, errors.New("the gateway's words"))
		for _, m := range details {
			detail, e := connect.NewErrorDetail(m)
			if e != nil {
				return e
			}
			err.AddDetail(detail)
		}
		return err
	}
}

var silent = wait(time.Hour)

// tailing is a tail with short times, and what it printed.
type tailing struct {
	*tail
	mu             sync.Mutex
	stdout, stderr bytes.Buffer
}

func (o *tailing) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.stderr.Write(p)
}

func newTailing(t *testing.T, address string, o tailOptions) *tailing {
	t.Helper()
	o.address = address
	if o.protocol == "" {
		o.protocol = "grpc"
	}
	o.heartbeat = 5 * time.Second
	out := &tailing{}
	p := &program{stdout: &out.stdout, stderr: out}
	var err error
	if out.tail, err = p.newTail(o, &Config{}); err != nil {
		t.Fatal(err)
	}
	out.silence, out.giveUp = 2*time.Second, 500*time.Millisecond
	return out
}

func (o *tailing) ids() string {
	var ids []string
	for line := range strings.Lines(o.stdout.String()) {
		id, _, _ := strings.Cut(line, " | ")
		ids = append(ids, strings.TrimPrefix(id, "pay_"))
	}
	return strings.Join(ids, " ")
}

func TestTailResumes(t *testing.T) {
	t.Parallel()
	end := &paymentpb.StreamEnd{Cursor: "end", OldestCursor: "oldest", Gaps: []*paymentpb.StreamEnd_Gap{{Partition: 1, From: 10, To: 15}}}
	for name, tt := range map[string]struct {
		options tailOptions // with the count after which it is over
		answers []answer
		ids     string
		cursors string   // of the calls
		said    []string // on standard error, in this order
	}{
		"after a clean end, at the last cursor": {
			tailOptions{count: 3},
			[]answer{parts(event(0, 1), event(0, 2)), parts(event(0, 3), silent)},
			"0-1 0-2 0-3", " after-0-2",
			[]string{"connected to", "lost the gateway", "connected to"},
		},
		"after an error": {
			tailOptions{count: 2},
			[]answer{parts(event(0, 1), fail(connect.CodeInternal)), parts(event(0, 2), silent)},
			"0-1 0-2", " after-0-1",
			[]string{"the gateway's words; trying again", "connected"},
		},
		"dropping what it has printed, by partition": {
			tailOptions{count: 4},
			[]answer{parts(event(0, 5), event(1, 2)), parts(event(0, 4), event(0, 5), event(1, 2), event(1, 3), event(0, 6), silent)},
			"0-5 1-2 1-3 0-6", " after-1-2", nil,
		},
		"after a drain, at the cursor it came with": {
			tailOptions{count: 2},
			[]answer{parts(event(0, 1), fail(connect.CodeUnavailable, end)), parts(event(0, 9), silent)},
			"0-1 0-9", " end",
			[]string{"the gateway's words"},
		},
		"after a fall out of the window, at the oldest, saying what is missing": {
			tailOptions{count: 2},
			[]answer{parts(event(1, 9), fail(connect.CodeOutOfRange, end)), parts(event(1, 15), silent)},
			"1-9 1-15", " oldest",
			[]string{"missed: partition 1, offsets 10 to 14"},
		},
		"after a gap, at the cursor it came with": {
			tailOptions{count: 2},
			[]answer{parts(event(1, 9), fail(connect.CodeDataLoss, end)), parts(event(1, 15), silent)},
			"1-9 1-15", " end",
			[]string{"missed: partition 1, offsets 10 to 14"},
		},
		"after Kafka has gone back, with what it has put there": {
			tailOptions{count: 4},
			[]answer{
				parts(event(1, 8), event(1, 9), fail(connect.CodeDataLoss, &paymentpb.StreamEnd{
					Cursor: "back", Gaps: []*paymentpb.StreamEnd_Gap{{Partition: 1, From: 10, To: 9}},
				})),
				parts(event(1, 8), event(1, 9), event(1, 10), silent),
			},
			"1-8 1-9 1-9 1-10", " back",
			[]string{"lost payments that were printed: partition 1, offsets 9 to 9"},
		},
		"from a cursor given, that the gateway no longer has": {
			tailOptions{count: 1, cursor: "old"},
			[]answer{fail(connect.CodeOutOfRange, &paymentpb.StreamEnd{OldestCursor: "oldest"}), parts(event(0, 9), silent)},
			"0-9", "old oldest",
			[]string{"no longer has were missed"},
		},
		"after silence": {
			tailOptions{count: 2},
			[]answer{parts(event(0, 1), silent), parts(event(0, 2), silent)},
			"0-1 0-2", " after-0-1",
			[]string{"two heartbeats", "connected"},
		},
		"after silence from the start": {
			tailOptions{count: 1},
			[]answer{parts(header("start"), silent), parts(event(0, 2), silent)},
			"0-2", " ", nil,
		},
		"not while heartbeats come, and at their cursor": {
			tailOptions{count: 2},
			[]answer{
				parts(event(0, 1), wait(1100*time.Millisecond), heartbeat("h1"), wait(1100*time.Millisecond), heartbeat("h2"), fail(connect.CodeAborted)),
				parts(event(0, 9), silent),
			},
			"0-1 0-9", " h2", nil,
		},
		"at the header's cursor, when only new ones are wanted": {
			tailOptions{count: 1, newOnly: true},
			[]answer{parts(header("start"), fail(connect.CodeUnavailable)), parts(event(0, 9), silent)},
			"0-9", " start", nil,
		},
		"from the start, when nothing of the existing has come": {
			tailOptions{count: 1},
			[]answer{parts(header("start"), fail(connect.CodeUnavailable)), parts(event(0, 9), silent)},
			"0-9", " ", nil,
		},
		"while the gateway is getting ready, however long": {
			tailOptions{count: 1},
			[]answer{
				fail(connect.CodeUnavailable), parts(wait(300*time.Millisecond), fail(connect.CodeUnavailable)),
				parts(wait(300*time.Millisecond), fail(connect.CodeUnavailable)), event(0, 1),
			},
			"0-1", "   ",
			[]string{"the gateway's words"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := &gateway{answers: tt.answers}
			out := newTailing(t, g.serveOn(t, nil).URL, tt.options)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := out.run(ctx); err != nil || ctx.Err() != nil {
				t.Fatalf("ended with %v (%v)\n%s", err, ctx.Err(), out.stderr.String())
			}
			if got := out.ids(); got != tt.ids {
				t.Errorf("printed %q, want %q", got, tt.ids)
			}
			if got := strings.Join(g.cursors(), " "); got != tt.cursors {
				t.Errorf("called with the cursors %q, want %q", got, tt.cursors)
			}
			rest := out.stderr.String()
			for _, want := range tt.said {
				_, after, ok := strings.Cut(rest, want)
				if !ok {
					t.Errorf("did not say %q in\n%s", want, out.stderr.String())
				}
				rest = after
			}
		})
	}
}

func TestTailHonoursRetryInfo(t *testing.T) {
	t.Parallel()
	const delay = 700 * time.Millisecond
	g := &gateway{answers: []answer{
		parts(event(0, 1), fail(connect.CodeUnavailable, &errdetails.RetryInfo{RetryDelay: durationpb.New(delay)})),
		parts(event(0, 2), silent),
	}}
	if err := newTailing(t, g.serveOn(t, nil).URL, tailOptions{count: 2}).run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if waited := g.times[1].Sub(g.times[0]); waited < delay || waited > delay+20*time.Second {
		t.Errorf("waited %v, want %v", waited, delay)
	}
}

func TestTailIsRefused(t *testing.T) {
	t.Parallel()
	for _, code := range []connect.Code{
		connect.CodeInvalidArgument, connect.CodeFailedPrecondition, connect.CodeUnimplemented, connect.CodePermissionDenied, connect.CodeUnauthenticated, connect.CodeOutOfRange,
	} {
		t.Run(code.String(), func(t *testing.T) {
			t.Parallel()
			g := &gateway{answers: []answer{fail(code)}}
			err := newTailing(t, g.serveOn(t, nil).URL, tailOptions{}).run(t.Context())
			if exitCode(err) != exitFailed || !strings.Contains(err.Error(), "the gateway's words") {
				t.Errorf("ended with %v, exit code %d", err, exitCode(err))
			}
		})
	}
}

func TestTailOfSomethingElse(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	if err := newTailing(t, server.URL, tailOptions{protocol: "connect"}).run(t.Context()); exitCode(err) != exitFailed {
		t.Errorf("ended with %v, exit code %d", err, exitCode(err))
	}
	if err := newTailing(t, server.URL, tailOptions{protocol: "grpc"}).run(t.Context()); exitCode(err) != exitUnreachable {
		t.Errorf("ended with %v, exit code %d", err, exitCode(err))
	}
}

func TestTailWithoutAGateway(t *testing.T) {
	t.Parallel()
	err := newTailing(t, "http://"+freeAddress(t), tailOptions{}).run(t.Context())
	if exitCode(err) != exitUnreachable || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("ended with %v, exit code %d", err, exitCode(err))
	}
}

func TestTailWaitsForItsGateway(t *testing.T) {
	t.Parallel()
	addr := freeAddress(t)
	out := newTailing(t, "http://"+addr, tailOptions{count: 2})
	out.giveUp = 10 * time.Second
	done := make(chan error, 1)
	go func() { done <- out.run(t.Context()) }()

	// It comes late, goes for longer than a gateway is tried that never answered, and comes back.
	time.Sleep(300 * time.Millisecond)
	first := (&gateway{answers: []answer{parts(event(0, 1), fail(connect.CodeUnavailable))}}).serveOn(t, listenOn(t, addr))
	for deadline := time.Now().Add(30 * time.Second); !out.said("connected to") && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	first.CloseClientConnections()
	first.Close()
	time.Sleep(time.Second)
	second := &gateway{answers: []answer{parts(event(0, 2), silent)}}
	second.serveOn(t, listenOn(t, addr))
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if out.ids() != "0-1 0-2" || second.cursors()[0] != "after-0-1" {
		t.Errorf("printed %s; the second gateway was called with %q", out.ids(), second.cursors())
	}
}

func (o *tailing) said(what string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Contains(o.stderr.String(), what)
}

func TestTailStops(t *testing.T) {
	t.Parallel()
	g := &gateway{answers: []answer{parts(event(0, 1), silent)}}
	out := newTailing(t, g.serveOn(t, nil).URL, tailOptions{})
	out.silence = time.Minute
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	if err := out.run(ctx); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 20*time.Second { // its gateway would be silent for an hour
		t.Errorf("took %v", took)
	}
}

func TestTailCommand(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, protocol := range []string{"grpc", "grpcweb", "connect"} {
		t.Run(protocol, func(t *testing.T) {
			g := &gateway{answers: []answer{parts(event(0, 0), event(1, 0), silent)}}
			server := g.serveOn(t, nil)
			host, port, _ := net.SplitHostPort(server.Listener.Addr().String())
			got := runInProcess(t.Context(), []string{"GRPC_HOST=" + host, "GRPC_PORT=" + port}, "tail", "-protocol="+protocol, "-count=2",
				"-provider", "Stripe", "-status=STATUS_COMPLETED", "-limit=7", "-new-only", "-cursor", "-c", "-since=1h")
			if want := "pay_0-0 | $50.00 USD | STRIPE | COMPLETED\npay_1-0 | $50.00 USD | STRIPE | COMPLETED\n"; got.stdout != want || got.code != 0 {
				t.Errorf("exit code %d, got\n%s%s", got.code, got.stdout, got.stderr)
			}
			r := g.requests[0]
			if r.GetProvider() != 1 || r.GetStatus() != 2 || r.GetLimit() != 7 || r.GetStart() != 1 || r.GetCursor() != "-c" || r.GetHeartbeat().AsDuration() != 5*time.Second {
				t.Errorf("called with %v", r)
			}
			if since := time.Since(r.GetSince().AsTime()); since < time.Hour || since > time.Hour+time.Minute {
				t.Errorf("since %v ago", since)
			}
		})
	}
}

func TestTailPrintsJSON(t *testing.T) {
	t.Chdir(t.TempDir())
	g := &gateway{answers: []answer{parts(event(0, 0), silent)}}
	got := runInProcess(t.Context(), nil, "tail", "-json", "-count=1", "-address="+g.serveOn(t, nil).URL)
	if strings.Count(got.stdout, "\n") != 1 {
		t.Fatalf("want one line, got %q %s", got.stdout, got.stderr)
	}
	var event map[string]any
	if err := json.Unmarshal([]byte(got.stdout), &event); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"payment": map[string]any{
			"id": "pay_0-0", "provider": "PROVIDER_STRIPE", "amount": 50.0, "amountMinor": "5000", "currency": "USD", "status": "STATUS_COMPLETED",
			"customerEmail": "", "createdAt": "0", "processedAt": "0", "metadata": map[string]any{},
		},
		"eventType": "new", "topic": "", "partition": 0.0, "offset": "0", "cursor": "after-0-0", "publishedAt": "0",
	}
	if diff := cmp.Diff(want, event); diff != "" {
		t.Error(diff)
	}
}

// An id is whatever stands on Kafka, and a terminal obeys escape sequences.
func TestLinesHoldNoControlCharacters(t *testing.T) {
	t.Parallel()
	p := &paymentpb.Payment{Id: "pay\x1b[2J\n\"ü\"", Amount: 1, Currency: "USD"}
	if got, want := paymentLine(p, false), `pay\x1b[2J\n"ü" | $1.00 USD | UNKNOWN | UNKNOWN`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l := listenOn(t, "127.0.0.1:0")
	defer l.Close()
	return l.Addr().String()
}

func listenOn(t *testing.T, addr string) net.Listener {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

var _ io.Writer = (*tailing)(nil)
