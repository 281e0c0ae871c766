package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"

	"paystream/gen/payment"
	"paystream/gen/payment/paymentpbconnect"
)

const (
	firstPause = 250 * time.Millisecond
	longPause  = 10 * time.Second
)

var (
	errCounted = errors.New("as many payments as asked for")
	errSilent  = errors.New("the gateway has not been heard of for two heartbeats")
	errEnded   = errors.New("the stream ended")
)

// tail prints a gateway's payments, each once, in the order of its partition. Only what it can't
// be served any more is missing, and that it says.
type tail struct {
	address string
	dial    func() (paymentpbconnect.PaymentServiceClient, io.Closer)
	request *paymentpb.StreamPaymentsRequest // its cursor moves on
	silence time.Duration                    // how long a living gateway can be silent
	giveUp  time.Duration                    // how long a gateway that never answered is tried
	count   int                              // 0 is without end
	view    func() tailView

	shown    tailView        // what view has made, for the time of run
	phase    phase           // the last that it was told
	reached  bool            // a gateway has answered
	next     map[int32]int64 // by partition, the offset after the last one seen
	printed  int
	failures int // since the last event
	state    string
}

// run returns nil when ctx is done or the count is reached.
func (t *tail) run(ctx context.Context) (err error) {
	t.shown = t.view()
	defer func() {
		if closeErr := t.shown.close(); err == nil && closeErr != nil {
			err = printing(closeErr)
		}
	}()
	start := time.Now()
	for {
		t.enter(tailState{phase: connecting})
		err := t.stream(ctx)
		if ctx.Err() != nil || errors.Is(err, errCounted) {
			return nil // both are what was asked for
		}
		pause, final := t.judge(err)
		if final != nil {
			return final
		}
		if tried := time.Since(start); !t.reached && tried+pause > t.giveUp {
			return unreachable(fmt.Errorf("%s, for %v: is the gateway running, and its address right (--address, GRPC_HOST, GRPC_PORT)?",
				t.state, tried.Round(100*time.Millisecond)))
		}
		if pause == 0 {
			continue
		}
		t.enter(tailState{retrying, time.Now().Add(pause), words(err)})
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
	}
}

// enter tells the view, where it is news.
func (t *tail) enter(state tailState) {
	if state.phase != t.phase {
		t.phase = state.phase
		t.shown.enter(state)
	}
}

// stream makes one call and handles its events until it breaks. The error is never nil.
func (t *tail) stream(ctx context.Context) error {
	client, conns := t.dial()
	ctx, cancel := context.WithCancelCause(ctx)
	defer conns.Close() // last: a dead connection does not close by itself
	defer cancel(nil)
	watchdog := time.AfterFunc(t.silence, func() { cancel(errSilent) })
	defer watchdog.Stop()

	stream, err := client.StreamPayments(ctx, connect.NewRequest(proto.CloneOf(t.request)))
	if err == nil {
		err = t.receive(stream, func() { watchdog.Reset(t.silence) })
		cancel(nil) // or Close would wait for the end of what has none
		_ = stream.Close()
	}
	if errors.Is(context.Cause(ctx), errSilent) {
		return errSilent
	}
	return err
}

func (t *tail) receive(stream *connect.ServerStreamForClient[paymentpb.PaymentEvent], alive func()) error {
	if first := stream.ResponseHeader().Get("Paystream-Cursor"); first != "" {
		alive()
		t.connected()
		if t.request.GetCursor() == "" && t.request.GetSince() == nil && t.request.GetStart() != paymentpb.StreamStart_START_NEW_ONLY {
			t.enter(tailState{phase: existing})
		} else {
			t.enter(tailState{phase: live})
		}
		// Of a stream that starts with what exists, the first event's cursor is the first to go on from.
		if t.request.GetCursor() == "" && t.request.GetStart() == paymentpb.StreamStart_START_NEW_ONLY {
			t.request.Cursor = first
		}
	}
	for stream.Receive() {
		alive()
		t.connected()
		t.failures = 0
		if err := t.handle(stream.Msg()); err != nil {
			return err
		}
	}
	if err := stream.Err(); err != nil {
		return err
	}
	return errEnded
}

func (t *tail) connected() {
	t.reached = true
	t.tell("connected to " + t.address)
}

// tell says what state the tail is in, once.
func (t *tail) tell(state string) {
	if state != t.state {
		t.state = state
		t.shown.say(state)
	}
}

// handle prints an event unless it is a heartbeat or has been printed before.
func (t *tail) handle(e *paymentpb.PaymentEvent) error {
	if e.GetEventType() == "existing" {
		t.enter(tailState{phase: existing})
	} else {
		t.enter(tailState{phase: live})
	}
	seen := e.GetPayment() == nil || e.GetOffset() < t.next[e.GetPartition()]
	if !seen {
		if err := t.shown.event(e); err != nil {
			return &finalError{printing(err)}
		}
		t.printed++
		t.next[e.GetPartition()] = e.GetOffset() + 1
	}
	if e.GetCursor() != "" {
		t.request.Cursor = e.GetCursor()
	}
	if t.count > 0 && t.printed >= t.count {
		return errCounted
	}
	return nil
}

func printing(err error) error { return fmt.Errorf("print a payment: %w", err) }

// finalError is one that another try would not mend.
type finalError struct{ error }

func (e *finalError) Unwrap() error { return e.error }

// judge decides what follows an error: a pause and another try, or, with an error, the end.
func (t *tail) judge(err error) (time.Duration, error) {
	if final, ok := errors.AsType[*finalError](err); ok {
		return 0, final
	}
	answered := connect.IsWireError(err)
	t.reached = t.reached || answered
	detail := detailsOf(err)
	code := connect.CodeOf(err)
	switch {
	case answered && code == connect.CodeOutOfRange && detail.end.GetOldestCursor() != "":
		return t.skip(detail.end, detail.end.GetOldestCursor()), nil
	case answered && code == connect.CodeDataLoss && detail.end.GetCursor() != "":
		return t.skip(detail.end, detail.end.GetCursor()), nil
	case answered && isFinal(code), !t.reached && code == connect.CodeUnimplemented:
		return 0, fmt.Errorf("the gateway at %s refused: %s", t.address, words(err))
	}
	if cursor := detail.end.GetCursor(); cursor != "" {
		t.request.Cursor = cursor
	}
	switch {
	case !t.reached:
		t.tell(fmt.Sprintf("cannot reach the gateway at %s: %s", t.address, words(err)))
	case answered && code != connect.CodeCanceled:
		t.tell(fmt.Sprintf("the gateway at %s: %s; trying again", t.address, words(err)))
	default:
		t.tell(fmt.Sprintf("lost the gateway at %s: %s; trying again", t.address, words(err)))
	}
	pause := backoff(t.failures)
	t.failures++
	if detail.retry != nil {
		pause = detail.retry.GetRetryDelay().AsDuration()
	}
	return max(0, pause), nil
}

// skip goes on from a later cursor and says what is missing before it.
func (t *tail) skip(end *paymentpb.StreamEnd, cursor string) time.Duration {
	var gaps []string
	said := "payments that the gateway no longer has were missed"
	on := "; going on after them"
	for _, g := range end.GetGaps() {
		from, to := g.GetFrom(), g.GetTo()
		if to < from { // Kafka has gone back, and what it puts there is new
			t.next[g.GetPartition()] = min(t.next[g.GetPartition()], to)
			said, on = "Kafka has lost payments that were printed", "; going on with those that it has put there"
			from, to = to, from
		}
		gaps = append(gaps, fmt.Sprintf("partition %d, offsets %d to %d", g.GetPartition(), from, to-1))
	}
	if len(gaps) > 0 {
		said += ": " + strings.Join(gaps, "; ")
	}
	t.tell(said + on)
	t.request.Cursor = cursor
	t.failures++
	if t.failures == 1 {
		return 0 // there is nothing to wait for
	}
	return backoff(t.failures - 1)
}

// isFinal reports codes that say that the request is wrong, and would be so at any time.
func isFinal(code connect.Code) bool {
	switch code {
	case connect.CodeInvalidArgument, connect.CodeFailedPrecondition, connect.CodeUnimplemented, connect.CodeNotFound,
		connect.CodePermissionDenied, connect.CodeUnauthenticated, connect.CodeOutOfRange, connect.CodeDataLoss:
		return true
	default:
		return false
	}
}

// words is an error without its code and its wrappings, and without what a terminal would obey.
func words(err error) string {
	if c, ok := errors.AsType[*connect.Error](err); ok {
		return printable(c.Message())
	}
	return printable(err.Error())
}

// backoff is the pause after so many failures, half of it random.
func backoff(failures int) time.Duration {
	pause := min(longPause, firstPause<<min(failures, 10))
	return pause/2 + rand.N(pause/2)
}

// details are what an error of the gateway tells programs.
type details struct {
	end   *paymentpb.StreamEnd
	retry *errdetails.RetryInfo
}

func detailsOf(err error) details {
	var d details
	c, ok := errors.AsType[*connect.Error](err)
	if !ok {
		return d
	}
	for _, detail := range c.Details() {
		value, err := detail.Value()
		if err != nil {
			continue // a kind that this version does not know
		}
		switch v := value.(type) {
		case *paymentpb.StreamEnd:
			d.end = v
		case *errdetails.RetryInfo:
			d.retry = v
		}
	}
	return d
}

// connections dials, and remembers what it has dialled: closing them is what ends one whose other
// side is gone. http.Transport would go on using it.
type connections struct {
	mu     sync.Mutex
	closed bool
	open   []net.Conn
}

func (c *connections) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		_ = conn.Close()
		return nil, net.ErrClosed
	}
	c.open = append(c.open, conn)
	return conn, nil
}

func (c *connections) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, conn := range c.open {
		_ = conn.Close()
	}
	return nil
}
