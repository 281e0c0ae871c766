// Package subscriber follows gateways in every protocol, by the client's rules: it goes on from its last
// cursor at the next gateway whatever breaks, drops an event whose offset is not above the last seen of
// its partition, goes on behind a gap that it was told of, and begins anew, with the first record that there is,
// when it is told that its cursor is of another topic.
package subscriber

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"paystream/chaos/judge"
	paymentpb "paystream/gen/payment"
	"paystream/internal/clienttest"
)

// Habit is how a subscriber behaves.
type Habit string

// The habits.
const (
	Steady   Habit = "steady"
	Slow     Habit = "slow"             // stops reading for seconds, with small buffers
	Restless Habit = "comes and goes"   // leaves, stays away for seconds, and comes back with its cursor
	Sleeper  Habit = "sleeps when told" // see Sleep
)

const (
	heartbeat = time.Second
	silence   = 2500 * time.Millisecond // two heartbeats, and what a busy machine takes
	firstWait = 50 * time.Millisecond
	longWait  = 2 * time.Second
	slowAfter = 4000 // events until a slow subscriber stops reading for a while
)

// Subscriber is one client.
type Subscriber struct {
	Protocol clienttest.Protocol
	Habit    Habit
	Track    *judge.Track
	Times    Times

	provider paymentpb.Provider
	status   paymentpb.PaymentStatus
	gateways []string
	at, step int // which of them, and how far it is to the next
	rng      *rand.Rand
	judge    *judge.Judge
	cursor   string
	failures int // since the last event

	home     int  // the gateway that it began with
	newcomer bool // and has no cursor yet

	mu    sync.Mutex
	where int       // the gateway of the present stream, or of the last
	since time.Time // when that stream was asked for
	ends  map[string]int
	sleep bool
	awake chan struct{} // closed when a sleep ends
	stop  func(error)   // ends the present stream
}

// Config says who subscribes, and where.
type Config struct {
	Name     string
	Protocol clienttest.Protocol
	Habit    Habit
	Provider paymentpb.Provider // with Status, of what it wants alone; zero is all
	Status   paymentpb.PaymentStatus
	Gateways []string
	First    int    // with which of them to begin
	Turn     int    // in which order to try the others: subscribers of one gateway go on at several
	Cursor   string // where to begin: before the first record; without one, it begins with what comes
	Seed     uint64
	Judge    *judge.Judge
}

// New returns a subscriber that does not run yet.
func New(cfg Config) *Subscriber {
	s := &Subscriber{
		Protocol: cfg.Protocol, Habit: cfg.Habit, judge: cfg.Judge, provider: cfg.Provider, status: cfg.Status,
		gateways: cfg.Gateways, at: cfg.First % len(cfg.Gateways), cursor: cfg.Cursor, newcomer: cfg.Cursor == "",
		rng:  rand.New(rand.NewPCG(cfg.Seed, 1)),
		ends: map[string]int{}, awake: make(chan struct{}),
	}
	switch {
	case s.provider != 0 || s.status != 0:
		s.Track = cfg.Judge.Sampler(cfg.Name)
	case s.newcomer:
		s.Track = cfg.Judge.Newcomer(cfg.Name)
	default:
		s.Track = cfg.Judge.Subscriber(cfg.Name)
	}
	s.step = 1
	if cfg.Turn%2 == 1 {
		s.step = len(cfg.Gateways) - 1
	}
	s.home = s.at
	return s
}

// Run subscribes until ctx is done.
func (s *Subscriber) Run(ctx context.Context) {
	for ctx.Err() == nil {
		s.await(ctx)
		err := s.stream(ctx)
		if ctx.Err() != nil {
			return
		}
		wait := s.after(err)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

var (
	errSilent = errors.New("nothing was heard for two heartbeats")
	errLeft   = errors.New("left by itself")
	errSleeps = errors.New("sleeps")
	errMoves  = errors.New("goes to another gateway")
)

// stream makes one call and reads it to its end. The error is never nil.
func (s *Subscriber) stream(ctx context.Context) (err error) {
	var conns connections
	defer conns.close() // a connection whose other side is gone does not close by itself
	client := s.Protocol.Dial(s.gateways[s.at], s.changes(&conns)...)
	defer client.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.hold(cancel)
	watchdog := time.AfterFunc(silence, func() { cancel(errSilent); conns.close() })
	defer watchdog.Stop()
	defer func() {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
	}()
	s.Track.Connected()
	req := &paymentpb.StreamPaymentsRequest{
		Cursor: s.cursor, Heartbeat: durationpb.New(heartbeat), Provider: s.provider, Status: s.status,
	}
	switch {
	case s.newcomer:
		req.Start = paymentpb.StreamStart_START_NEW_ONLY
	case s.cursor == "": // it was told that its own is of another topic, and wants all of this one
		req.Since = timestamppb.New(time.Unix(0, 0))
	}
	asked := time.Now()
	stream, err := client.Open(ctx, req)
	if err != nil {
		return err
	}
	defer stream.Close()
	s.opened(asked, stream.FirstCursor())
	return s.read(stream, watchdog)
}

// opened notes that a stream has begun, whose first cursor is what a newcomer goes on from.
func (s *Subscriber) opened(asked time.Time, first string) {
	if s.newcomer && first != "" {
		s.cursor, s.newcomer = first, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.where, s.since = s.at, asked
	s.ends["streams"]++
}

// Stream is the gateway of the present stream, or of the last one, and when it was asked for: never, if
// that is zero.
func (s *Subscriber) Stream() (gateway int, since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.where, s.since
}

// read reads until the stream ends or the subscriber's habit ends it. Only waiting counts for the watchdog.
func (s *Subscriber) read(stream clienttest.Stream, watchdog *time.Timer) error {
	left := time.Now().Add(s.between(2*time.Second, 8*time.Second))
	for n := 0; ; n++ {
		watchdog.Reset(silence)
		m, err := stream.NextMessage()
		watchdog.Stop()
		if err != nil {
			return err
		}
		if err := s.take(m); err != nil {
			return err
		}
		if s.Habit == Slow && n%slowAfter == slowAfter-1 {
			time.Sleep(s.between(500*time.Millisecond, 3*time.Second))
		}
		if s.Habit == Restless && time.Now().After(left) {
			return errLeft
		}
	}
}

func (s *Subscriber) take(m clienttest.Message) error {
	e, err := read(m)
	if err != nil {
		return fmt.Errorf("read %q: %w", []byte(m), err)
	}
	if e.payment {
		s.failures = 0
		s.Track.Saw(e.partition, e.offset, e.print)
		s.Times.saw(e.partition)
	}
	if len(e.cursor) > 0 {
		s.cursor = string(e.cursor)
	}
	return nil
}
