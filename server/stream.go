package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"paystream/broadcast"
	paymentpb "paystream/gen/payment"
)

// cursorHeader is the response header with a stream's first cursor.
const cursorHeader = "Paystream-Cursor"

// minHeartbeat keeps a client from asking for a flood.
const minHeartbeat = 100 * time.Millisecond

// sink writes one stream in one protocol. Every method but send ends with what was written sent off.
// All fail only when the client is gone or takes nothing for too long.
type sink interface {
	// open sends the headers and the first cursor.
	open(ctx context.Context, cursor string) error
	// send writes events, each as a message of its own, or holds them back until flush. last says that
	// flush is what comes next.
	send(run broadcast.Run, last bool) error
	flush() error
	// heartbeat sends an event without a payment.
	heartbeat(cursor string) error
	// idle keeps what lies between awake; it is called after idleEvery without a write.
	idle(cursor string) error
	// end tells the client why the stream ends.
	end(err *connect.Error)
	// close is called last, whatever was called before.
	close()
}

// stream is one subscriber's. It belongs to the goroutine of the request's handler.
type stream struct {
	server *Server
	ctx    context.Context //nolint:containedctx // a stream lives as long as its request
	cancel context.CancelFunc
	done   <-chan struct{} // closed when the context ends, or the client has gone
	feed   feed
	out    sink
	clock  *idleClock
}

// open begins the stream that a request asks for, within ctx. The stream's run is to be called when it has.
// idleEvery is 0 for protocols that need no idle signs.
func (s *Server) open(ctx context.Context, c *call, req *paymentpb.StreamPaymentsRequest, f *format, out sink, idleEvery time.Duration) (*stream, error) {
	start, err := s.startOf(ctx, req)
	if err != nil {
		return nil, err
	}
	if n := s.subscribers.Add(1); s.cfg.MaxSubscribers > 0 && n > int64(s.cfg.MaxSubscribers) {
		s.subscribers.Add(-1)
		full := connect.NewError(connect.CodeResourceExhausted, errors.New("the gateway has as many subscribers as it may; try again later, or at another gateway"))
		addRetry(full)
		return nil, full
	}
	s.cfg.Logger.Debug("subscriber joined", "subscribers", s.Subscribers())
	st := &stream{server: s, out: out}
	st.ctx, st.cancel = c.context(ctx)
	if st.feed, err = s.begin(f, start); err != nil {
		st.leave()
		return nil, err
	}
	if c.http1 != nil {
		c.w.Header().Set("Connection", "close") // see takeOver
	}
	if err := out.open(st.ctx, st.cursor()); err != nil { //nolint:contextcheck // the request's outlives ctx
		st.leave()
		return nil, err
	}
	st.done, st.clock = st.ctx.Done(), newIdleClock(start.beat, idleEvery)
	return st, nil
}

// run goes on until the client goes, the server drains, or the log can not go on.
func (st *stream) run() {
	defer st.leave()
	st.out.end(st.server.clientError(st.follow()))
}

// detach lets the stream go on when its request is over, until gone is closed.
func (st *stream) detach(gone <-chan struct{}) {
	defer st.cancel()
	deadline, ok := st.ctx.Deadline()
	if !ok {
		st.ctx, st.cancel, st.done = context.Background(), func() {}, gone
		return
	}
	st.ctx, st.cancel = context.WithDeadline(context.Background(), deadline) // and its end is called for with gone
	st.done = st.ctx.Done()
}

func (st *stream) leave() {
	st.out.close()
	st.feed.leave()
	st.clock.stop()
	st.cancel()
	st.server.subscribers.Add(-1)
	st.server.cfg.Logger.Debug("subscriber left")
}

// follow sends what there is, and waits for more. The error is never nil.
func (st *stream) follow() error {
	for {
		if !st.feed.CaughtUp() {
			if err := st.sendAll(); err != nil {
				return err
			}
		}
		ready := st.feed.Ready()
		if st.server.draining.Load() { // not before: ready may be from after all were woken for it
			return st.drained()
		}
		select {
		case <-st.done:
			return st.over()
		case <-ready:
		case <-st.clock.due():
			if err := st.clock.tick(st.out, st.cursor()); err != nil {
				return err
			}
		case <-st.feed.stop():
		}
	}
}

func (st *stream) drained() error { return st.server.shutDown(st.cursor()) }

// cursor returns where the stream stands.
func (st *stream) cursor() string { return st.cursorAt(st.feed.Vector()) }

func (st *stream) cursorAt(v broadcast.Vector) string {
	if st.feed.cursor == nil {
		return st.server.cursor(v)
	}
	return formatCursor(st.server.source.Fingerprint(), v, st.feed.epochsOf(st.server.source)(v))
}

// over is the error when done is closed.
func (st *stream) over() error { return cmp.Or(st.ctx.Err(), context.Canceled) }

// flushAt is how much is written at the most before it is sent off while more is waiting.
const flushAt = 64 << 10

// sendAll sends until the subscription has caught up, and what it has sent is on its way.
func (st *stream) sendAll() error {
	for unsent := 0; ; {
		run, err := st.next()
		if err != nil {
			_ = st.out.flush() // what the cursor in the error is behind; fails only with the connection
			return err
		}
		all := st.feed.CaughtUp()
		if !run.Empty() {
			if err := st.out.send(run, all); err != nil {
				return err
			}
			st.clock.wrote()
		}
		unsent += len(run.Bytes())
		if unsent >= flushAt || (all && unsent > 0) {
			if err := st.out.flush(); err != nil {
				return err
			}
			unsent = 0
		}
		if all {
			return nil
		}
	}
}

func (st *stream) next() (broadcast.Run, error) {
	select {
	case <-st.done:
		return broadcast.Run{}, st.over()
	default:
	}
	if st.server.draining.Load() {
		return broadcast.Run{}, st.drained()
	}
	run, err := st.feed.Next(st.ctx)
	if gap := (*broadcast.GapError)(nil); errors.As(err, &gap) {
		return run, gapError(gap, st.cursorAt(gap.Next))
	}
	return run, err
}

// beginning is what a stream begins with.
type beginning struct {
	broadcast.Start // without a cursor: see claim
	claim

	beat time.Duration // how often it wants heartbeats; 0 is never
}

// startOf checks a request and returns where its stream begins.
func (s *Server) startOf(ctx context.Context, req *paymentpb.StreamPaymentsRequest) (start beginning, err error) {
	if err = s.ready(); err != nil {
		return start, err
	}
	if start.Filter, err = newFilter(req.GetProvider(), req.GetStatus()); err != nil {
		return start, err
	}
	if start.beat, err = heartbeatOf(req); err != nil {
		return start, err
	}
	switch {
	case req.GetCursor() != "":
		start.claim, err = s.claimOf(ctx, req.GetCursor())
	case req.GetSince() != nil:
		start.claim, err = s.since(ctx, req.GetSince())
	case req.GetLimit() < 0:
		err = invalid(fmt.Sprintf("limit %d is negative", req.GetLimit()))
	default:
		start.Limit = int(req.GetLimit())
		switch req.GetStart() {
		case paymentpb.StreamStart_START_EXISTING_THEN_NEW:
			start.Existing = true
		case paymentpb.StreamStart_START_NEW_ONLY:
		default:
			err = invalid(fmt.Sprintf("start %d is not known", req.GetStart()))
		}
	}
	return start, err
}

// claimOf reads a stream's cursor, and holds it to Kafka's log where that can be done soon.
func (s *Server) claimOf(ctx context.Context, token string) (c claim, err error) {
	c.cursor, c.epochs, err = parseCursor(token, s.source.Fingerprint())
	// Another gateway may know of more partitions already, but not of any number.
	if err == nil && len(c.cursor) > len(s.log.Newest())+maxNewPartitions {
		err = errMalformed
	}
	if err != nil {
		return c, s.cursorError(ctx, err)
	}
	ctx, cancel := context.WithTimeout(ctx, checkPatience)
	defer cancel()
	c.check(ctx, s.source, s.source.Epochs()) // a gap is told when the stream has begun
	return c, nil
}

func (s *Server) since(ctx context.Context, t *timestamppb.Timestamp) (c claim, err error) {
	if err := t.CheckValid(); err != nil {
		return c, invalid("since is no valid time")
	}
	c.under = s.source.Epochs()
	c.cursor, c.epochs, err = s.source.Since(ctx, t.AsTime())
	switch {
	case ctx.Err() != nil:
		return c, ctx.Err()
	case err != nil:
		s.cfg.Logger.Warn("since can not be looked up", "error", err)
		return c, unavailable("Kafka can not be asked what was published since then; try again, or go on from a cursor")
	}
	c.checked = true // Kafka has just said so
	return c, nil
}

func heartbeatOf(req *paymentpb.StreamPaymentsRequest) (time.Duration, error) {
	if req.GetHeartbeat() == nil {
		return 0, nil
	}
	if err := req.GetHeartbeat().CheckValid(); err != nil {
		return 0, invalid("heartbeat is no valid duration")
	}
	beat := req.GetHeartbeat().AsDuration()
	if beat < 0 {
		return 0, invalid("heartbeat is negative")
	}
	if beat == 0 {
		return 0, nil
	}
	return max(beat, minHeartbeat), nil
}

// idleClock says when a stream without events owes its client a sign of life: a heartbeat to a
// client that asked for it, an idle sign where the protocol has one.
type idleClock struct {
	timer          *time.Timer
	beat, idle     time.Duration // 0 is never
	beatAt, idleAt time.Time
}

// newIdleClock returns nil where neither is owed.
func newIdleClock(beat, idle time.Duration) *idleClock {
	if beat == 0 && idle == 0 {
		return nil
	}
	c := &idleClock{timer: time.NewTimer(time.Hour), beat: beat, idle: idle}
	c.wrote()
	return c
}

// due returns the channel that says that tick is to be called, if it ever is.
func (c *idleClock) due() <-chan time.Time {
	if c == nil {
		return nil
	}
	return c.timer.C
}

// wrote says that something was written just now.
func (c *idleClock) wrote() {
	if c == nil {
		return
	}
	now := time.Now()
	c.beatAt, c.idleAt = now.Add(c.beat), now.Add(c.idle)
	c.arm(now)
}

func (c *idleClock) arm(now time.Time) {
	if c.idle == 0 || (c.beat != 0 && !c.idleAt.Before(c.beatAt)) {
		c.timer.Reset(c.beatAt.Sub(now))
	} else {
		c.timer.Reset(c.idleAt.Sub(now))
	}
}

// tick sends what is due.
func (c *idleClock) tick(out sink, cursor string) error {
	now := time.Now()
	if c.beat != 0 && !now.Before(c.beatAt) {
		err := out.heartbeat(cursor)
		c.wrote()
		return err
	}
	err := out.idle(cursor)
	c.idleAt = now.Add(c.idle)
	c.arm(now)
	return err
}

func (c *idleClock) stop() {
	if c != nil {
		c.timer.Stop()
	}
}
